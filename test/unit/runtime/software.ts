import { existsSync } from 'node:fs';

const chromium = '/usr/lib/chromium';
const environment: Readonly<Record<string, string>> = { VK_ICD_FILENAMES: `${chromium}/vk_swiftshader_icd.json`, XDG_RUNTIME_DIR: '/tmp', LD_LIBRARY_PATH: chromium };

/** Debian's chromium brings SwiftShader, a GPU in software, and the Vulkan loader: slow, but WebGPU's real code path. */
export const skipWebGpu = existsSync(environment.VK_ICD_FILENAMES) ? false : `SKIPPED: WebGPU needs ${environment.VK_ICD_FILENAMES} (Debian's chromium)`;
if (skipWebGpu) console.log(skipWebGpu);

/** Runs `work` with an environment in which children find the GPU in software. */
export const withSoftwareGpu = <T>(work: () => Promise<T>): Promise<T> => withEnvironment(environment, work);

/** Runs `work` with an environment in which Vulkan, and so WebGPU on Linux, finds no GPU. */
export const withoutGpu = <T>(work: () => Promise<T>): Promise<T> => withEnvironment({ VK_ICD_FILENAMES: '/nowhere/icd.json', VK_DRIVER_FILES: '/nowhere/icd.json' }, work);

async function withEnvironment<T>(environment: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  const before = new Map(Object.keys(environment).map((key) => [key, process.env[key]]));
  Object.assign(process.env, environment);
  try {
    return await work();
  } finally {
    for (const [key, value] of before) if (value === undefined) delete process.env[key]; else process.env[key] = value;
  }
}
