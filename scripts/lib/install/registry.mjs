// usage: node registry.mjs FOLDER    an npm registry on 127.0.0.1 with the *.npm.tgz of FOLDER; prints its address
//
// As much of the protocol as an installation needs: a document for each package, and its archive. Stops with its stdin.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const folder = process.argv[2];
const packages = new Map();
for (const file of readdirSync(folder).filter((name) => name.endsWith(".npm.tgz"))) {
  const path = join(folder, file);
  const manifest = JSON.parse(execFileSync("tar", ["-xzOf", path, "package/package.json"], { encoding: "utf8" }));
  packages.set(manifest.name, { manifest, file, content: readFileSync(path) });
}

const server = createServer((request, response) => {
  const [, name, archive] = decodeURIComponent(new URL(request.url, "http://localhost").pathname).split("/");
  const known = packages.get(name);
  if (!known) {
    response.writeHead(404, { "Content-Type": "application/json" }).end('{"error":"not found"}');
    return;
  }
  if (archive) {
    response.writeHead(200, { "Content-Type": "application/octet-stream" }).end(known.content);
    return;
  }
  const { manifest, file, content } = known;
  const integrity = `sha512-${createHash("sha512").update(content).digest("base64")}`;
  const tarball = `http://127.0.0.1:${server.address().port}/${name}/${file}`;
  const versions = { [manifest.version]: { ...manifest, dist: { tarball, integrity } } };
  response
    .writeHead(200, { "Content-Type": "application/json" })
    .end(JSON.stringify({ name, "dist-tags": { latest: manifest.version }, versions }));
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
