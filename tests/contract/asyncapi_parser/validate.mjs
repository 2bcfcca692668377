// Reads an AsyncAPI document with the official parser, and prints what it has to say of it as JSON.
import { readFile } from "node:fs/promises";

import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
console.log(
  JSON.stringify({
    diagnostics: diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path })),
    channels: document?.channels().all().map((channel) => ({
      address: channel.address(),
      messages: channel.messages().all().map((message) => message.name()),
    })),
  }),
);
