// Links to files that the server makes.
import * as api from "../api/client";
import { isPlain } from "./router.svelte";

/**
 * For such links: asks first whether somebody is still logged in, and has them log in where not. A browser tells of a file that was refused only
 * that it failed.
 */
export async function download(event: MouseEvent & { currentTarget: HTMLAnchorElement }) {
  if (!isPlain(event)) return;
  event.preventDefault();
  const link = document.createElement("a");
  link.href = event.currentTarget.href;
  link.download = "";
  try {
    await api.stillIn();
  } catch (error) {
    // Of anything else the file's own answer tells.
    if (api.ApiError.from(error).status === 401) return;
  }
  link.click();
}
