"""The diagram of BYOL in the user guide: two views, two networks, one loss.

    python docs/pictures/byol.py

It is higher than wide, so that it can be read on a phone.
"""

from pathlib import Path

from svg import BLUE, GRAY, ORANGE, Drawing


def draw():
    """Draw the online network on the left and the target network on the right."""
    picture = Drawing(440, 548, "BYOL: one view predicts the other")
    picture.box(165, 10, 110, 36, "image")
    picture.arrow((165, 28), (95, 28), (95, 62))
    picture.arrow((275, 28), (345, 28), (345, 62))
    picture.box(40, 64, 110, 36, "view 1")
    picture.box(290, 64, 110, 36, "view 2")

    picture.text(95, 134, "online network", colour=BLUE, bold=True)
    picture.text(345, 134, "target network", colour=ORANGE, bold=True)
    for x in (95, 345):
        picture.arrow((x, 100), (x, 116))

    picture.box(20, 146, 150, 50, "encoder", "is kept", colour=BLUE, bold=True)
    picture.box(270, 146, 150, 50, "encoder", colour=ORANGE)
    picture.arrow((170, 171), (266, 171), colour=ORANGE, dashed=True)
    picture.text(218, 160, "slow average", size=13, colour=ORANGE)
    picture.number(205, 190, 3)
    picture.number(231, 190, 4)
    picture.text(104, 218, "representation", size=13, anchor="start", colour=GRAY)

    picture.box(20, 234, 150, 40, "projector", colour=BLUE)
    picture.box(270, 234, 150, 40, "projector", colour=ORANGE)
    picture.arrow((170, 254), (266, 254), colour=ORANGE, dashed=True)
    picture.text(104, 296, "projection", size=13, anchor="start", colour=GRAY)

    picture.box(20, 312, 150, 40, "predictor", colour=BLUE)
    for top, bottom in ((196, 231), (274, 309), (352, 407)):
        picture.arrow((95, top), (95, bottom))
    picture.arrow((345, 196), (345, 231))
    picture.arrow((345, 274), (345, 407))
    picture.text(104, 384, "prediction", size=13, anchor="start", colour=GRAY)
    picture.text(336, 330, "projection", size=13, anchor="end", colour=GRAY)

    picture.box(
        20, 410, 400, 54, "loss: how far is the prediction", "from the projection?"
    )
    picture.number(40, 437, 1)
    picture.arrow((60, 464), (60, 490), (8, 490), (8, 171), (17, 171), colour=BLUE)
    note = {"size": 13, "anchor": "start"}
    picture.text(70, 495, "the gradient goes to the online network only", **note)
    picture.number(40, 526, 2)
    picture.text(60, 531, "the views change places; the two losses are summed", **note)
    return picture


if __name__ == "__main__":
    draw().save(Path(__file__).with_suffix(".svg"))
