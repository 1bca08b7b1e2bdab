/** The body of an answer as what the test takes it for; the assertions that follow say whether it is. */
export async function jsonOf<T>(response: Response): Promise<T> {
  return JSON.parse(await response.text());
}
