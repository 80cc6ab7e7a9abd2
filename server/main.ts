// The LSP server: documents, lenses, jobs, and the door to the engine child. Started by the extension, ends with it.
import { runServer } from './rpc/server';

runServer(__dirname);
