// Entry point inside the extension host. CommonJS, so that require('vscode') is the extension host's own.
const path = require('node:path');
const { readdirSync } = require('node:fs');
const Mocha = require('mocha');

exports.run = () => new Promise((resolve, reject) => {
  const mocha = new Mocha({ ui: 'bdd', timeout: 60_000, reporter: 'json', reporterOptions: { output: process.env.API_TEST_RESULTS } });
  for (const file of readdirSync(__dirname)) if (file.endsWith('.mocha.cjs')) mocha.addFile(path.join(__dirname, file));
  mocha.run((failures) => (failures ? reject(new Error(`${failures} tests failed`)) : resolve()));
});
