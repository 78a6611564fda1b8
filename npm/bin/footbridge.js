#!/usr/bin/env node
// Starts the native program of this platform and gets out of its way: its pipes are ours, so no byte passes through here.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { name, optionalDependencies } = require("../package.json");

function say(text) {
  process.stderr.write(`${name}: ${text}\n`);
  process.exit(1);
}

function program() {
  const wanted = `${name}-${process.platform}-${process.arch}`;
  if (!(wanted in optionalDependencies)) {
    say(`there is no package for ${process.platform} on ${process.arch}. Build it: cargo install ${name}`);
  }
  try {
    return require.resolve(`${wanted}/bin/${name}${process.platform === "win32" ? ".exe" : ""}`);
  } catch {
    return say(
      `the package ${wanted} is missing; npm leaves it out when optional packages are switched off or when the folder ` +
        `came from another machine. Install it: npm install --include=optional ${name}`,
    );
  }
}

const child = spawn(program(), process.argv.slice(2), { stdio: "inherit", windowsHide: true });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (error) => say(`the program cannot be started: ${error.message}`));
// The exit code is the program's; a death by signal is told the way shells tell it.
child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
