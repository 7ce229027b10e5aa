// Files that the server makes. A browser that is led to one tells of a refusal only that it failed, so the panel asks for it itself.
import * as api from "../api/client";

/** Bytes of a file that are held before it is saved. What is larger the browser asks for again and writes to the disk as it comes. */
const HELD = 32 * 1024 * 1024;

/** Saves the file under the name that the server gives it; one that is refused or breaks off is thrown as an `ApiError`. */
export async function download(url: string): Promise<void> {
  const controller = new AbortController();
  const response = await api.file(url, controller.signal);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
    chunks.push(part.value);
    size += part.value.length;
    if (size > HELD) {
      controller.abort();
      return save(url, "");
    }
  }
  const [, name = ""] = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "") ?? [];
  const held = URL.createObjectURL(new Blob(chunks, { type: response.headers.get("content-type") ?? "" }));
  save(held, name);
  // Not at once: the browser has yet to read it.
  setTimeout(() => URL.revokeObjectURL(held), 60_000);
}

function save(url: string, name: string) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}
