declare module "virtual:world" {
  const outlines: { width: number; height: number; countries: Record<string, string> };
  export default outlines;
}
