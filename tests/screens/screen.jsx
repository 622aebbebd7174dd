// One Phoebus screen, drawn by cs-web-lib: /?file=/bgrscrpt.bob&macros={"P": ...}
import React from "react";
import { createRoot } from "react-dom/client";
import { Provider } from "react-redux";
import { BrowserRouter } from "react-router-dom";
import { EmbeddedDisplay, RelativePosition, store } from "@diamondlightsource/cs-web-lib";

const query = new URLSearchParams(window.location.search);
const file = {
  path: query.get("file"),
  macros: JSON.parse(query.get("macros")),
  defaultProtocol: "ca",
};
const gateway = { PVWS_SOCKET: window.location.host, PVWS_SSL: false, THROTTLE_PERIOD: 50 };

createRoot(document.getElementById("root")).render(
  <Provider store={store(gateway)}>
    <BrowserRouter>
      <EmbeddedDisplay position={new RelativePosition()} file={file} />
    </BrowserRouter>
  </Provider>
);
