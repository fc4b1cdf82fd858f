// Evaluates one expression with fhirpath.js as often as it is told on standard input, a number a line, and answers the
// nanoseconds that it took. The resource and the expression are those that the bench beside it measures.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, expression, resource] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const fhirpath = require("fhirpath");
const model = require("fhirpath/fhir-context/r4");

const parsed = JSON.parse(resource);
const compiled = fhirpath.compile(expression, model);
if (compiled(parsed)[0] !== true) throw new Error("fhirpath.js finds the condition not to hold");
for await (const line of createInterface({ input: process.stdin })) {
  const times = Number(line);
  const begin = process.hrtime.bigint();
  for (let i = 0; i < times; i++) compiled(parsed);
  console.log(String(process.hrtime.bigint() - begin));
}
