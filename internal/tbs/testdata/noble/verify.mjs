// Verifies signatures by @noble/post-quantum: of each JSON line on standard input,
// {kind, key, message, signature} in hexadecimal, one line says true or false.
import { createInterface } from "node:readline";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { slh_dsa_sha2_128s } from "@noble/post-quantum/slh-dsa.js";

const schemes = {
  "mldsa44": ml_dsa44,
  "mldsa65": ml_dsa65,
  "mldsa87": ml_dsa87,
  "slhdsa-sha2-128s": slh_dsa_sha2_128s,
};
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

for await (const line of createInterface({ input: process.stdin })) {
  const { kind, key, message, signature } = JSON.parse(line);
  console.log(schemes[kind].verify(bytes(signature), bytes(message), bytes(key)));
}
