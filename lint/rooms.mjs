/**
 * The rules of the house that the linter has no words for: who imports whom, by folder, and where the clock is read and
 * dice are thrown. Which room may import what stands in `.oxlintrc.json`, one override a room.
 */
import { posix, sep } from "node:path";

const pathOf = (context, file) => posix.relative(context.cwd.split(sep).join("/"), file.split(sep).join("/"));
const isIn = (path, folder) => path === folder || path.startsWith(`${folder}/`);

/** The specifiers of a file: of imports (types too), of what is exported again, and of `import()`. */
const specifiers = (check) => {
  const ofSource = (node) => {
    if (typeof node.source?.value === "string") check(node.source, node.source.value);
  };
  return {
    ImportDeclaration: ofSource,
    ImportExpression: ofSource,
    ExportNamedDeclaration: ofSource,
    ExportAllDeclaration: ofSource,
    TSImportType: ofSource,
  };
};

/**
 * Options: `room`, a folder; `may`, folders and files outside it that its files import; `packages`, what they import of
 * npm and Node (left out: all; `drizzle-orm` stands for `drizzle-orm/…` too).
 */
const imports = {
  meta: { schema: false },
  create(context) {
    const { room, may = [], packages } = context.options[0];
    const file = pathOf(context, context.filename);
    return specifiers((node, specifier) => {
      if (specifier.startsWith(".")) {
        const target = posix.join(posix.dirname(file), specifier);
        if ([room, ...may].some((folder) => isIn(target, folder))) return;
        context.report({
          node,
          message: `${room} does not import ${target}. It may import ${may.join(", ") || "nothing else"}.`,
        });
      } else if (packages !== undefined && !packages.some((name) => isIn(specifier, name))) {
        context.report({
          node,
          message: `${room} does not import ${specifier}. It may import ${packages.join(", ") || "no package"}.`,
        });
      }
    });
  },
};

const CLOCKS = { Date: ["now"], performance: ["now", "timeOrigin"] };
const CHANCE = { Math: ["random"], crypto: ["randomUUID", "getRandomValues"] };
const CHANCE_OF_NODE = /^(random|getRandomValues|webcrypto|default)/;
const READS_CLOCK = "Reads the clock. Take the time from the clock that is handed in (src/clock.ts).";
const THROWS_DICE = "Throws dice. Chance comes from src/random.ts.";

const isMemberOf = (node, table) => {
  const object = node.object.type === "MemberExpression" ? node.object.property : node.object;
  return node.property.type === "Identifier" && (table[object.name]?.includes(node.property.name) ?? false);
};

const noHiddenSource = {
  create: (context) => ({
    NewExpression(node) {
      if (node.callee.name === "Date" && node.arguments.length === 0) context.report({ node, message: READS_CLOCK });
    },
    MemberExpression(node) {
      if (isMemberOf(node, CLOCKS)) context.report({ node, message: READS_CLOCK });
      if (isMemberOf(node, CHANCE)) context.report({ node, message: THROWS_DICE });
    },
    ImportDeclaration(node) {
      if (!/^(node:)?crypto$/.test(node.source.value)) return;
      for (const each of node.specifiers) {
        if (CHANCE_OF_NODE.test(each.imported?.name ?? "default")) context.report({ node: each, message: THROWS_DICE });
      }
    },
  }),
};

export default { meta: { name: "andon" }, rules: { imports, "no-hidden-source": noHiddenSource } };
