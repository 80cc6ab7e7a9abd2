// The engine child: headers, scans, histograms and cuts for the editor. Started by the LSP server, ends with it.
import { runEngine } from './rpc/engineMain';

runEngine();
