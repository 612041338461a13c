// On a phone a wide picture is moved sideways in a frame of its own: see site.css.
window.addEventListener("load", () => {
  for (const picture of document.querySelectorAll(".bd-article img")) {
    if (picture.naturalWidth < 600) continue;
    if (picture.closest(".sphx-glr-thumbcontainer, .on-desk, .on-phone")) continue;
    const frame = document.createElement("div");
    frame.className = "wide-picture";
    frame.tabIndex = 0;
    frame.style.setProperty("--width", `${Math.max(640, picture.naturalWidth / 2)}px`);
    picture.replaceWith(frame);
    frame.append(picture);
  }
});
