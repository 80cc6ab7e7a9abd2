// Not a test: a parent that opens a session, prints the id of its child and waits to be killed.
import { openSession } from '../../../server/core/runtime/session';
import { childPid, tinyGpt2Graph } from './fixture';

void openSession(tinyGpt2Graph(), { provider: 'cpu', threads: 1, prepacking: false }).then((session) => {
  process.stdout.write(String(childPid(session)));
  setInterval(() => {}, 1000);
});
