"""The page on which a browser shows a plot."""

from __future__ import annotations

from string import Template

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<link rel="stylesheet" href="/_static/css/mpl.css">
<style>
  body { margin: 0; background: #fff; font: 14px/1.5 sans-serif; color: #555; }
  html { overflow-x: hidden; }
  main { width: max-content; margin: 8px auto; transform-origin: 0 0; }
  .ui-dialog-titlebar, .mpl-toolbar { display: none; }
  #figure > div > div { border: 0 !important; resize: none !important; }
  footer { padding: 0 16px; }
  footer a { color: #0072B2; margin-right: 1em; }
  #lost { display: none; background: #D55E00; color: #fff; padding: 4px 16px; }
</style>
<script src="/js/mpl.js"></script>
</head>
<body>
<main>
<div id="lost">No connection to the plot: what you see is old. Trying again ...</div>
<div id="figure"></div>
<footer>
  <a href="/1/download.png">picture</a><a href="/1/download.svg">SVG</a>
  <a href="/1/download.csv">data</a>
</footer>
</main>
<script>
  // The whole picture is shown in a window of any width; the newest data are at its right edge.
  const main = document.querySelector("main");
  const fit = () => {
    const room = document.documentElement.clientWidth / main.offsetWidth;
    main.style.transform = room < 1 ? `scale($${room})` : "";
  };
  new ResizeObserver(fit).observe(main);
  window.addEventListener("resize", fit);
  const socket = new WebSocket("ws://" + location.host + "/1/ws");
  const figure = new mpl.figure(1, socket, () => {}, document.getElementById("figure"));
  socket.onclose = () => {
    document.getElementById("lost").style.display = "block";
    setInterval(() => fetch("/").then((page) => page.ok && location.reload(), () => {}), 2000);
  };
</script>
</body>
</html>
""")
