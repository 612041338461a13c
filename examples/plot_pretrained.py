"""
Start from an encoder that knows other images
=============================================

Few images, and an encoder that was published for another task: is it worth training on?
Here an encoder is first trained with labels on the digits 0 to 4. BYOL then trains on
all ten digits, from these weights and from scratch, for the same numbers of epochs.
"""

# %%
# Weights of another task
# -----------------------
# Any state dict in a file will do. A published encoder would be
# ``BYOLTransformer(encoder="resnet18", weights="pretrained")``.

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_byol import BYOLTransformer

N_LABELS = 5  # a class
N_DRAWS = 10
N_EPOCHS = (0, 2, 8)

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)

encoder = BYOLTransformer(max_epochs=0, random_state=0).fit(X).encoder_.train()
images = torch.from_numpy(X[y < 5].reshape(-1, 1, 8, 8) / 16).float()
labels = torch.from_numpy(y[y < 5])
torch.manual_seed(0)
head = nn.Linear(512, 5)
optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 1e-3)
generator = torch.Generator().manual_seed(0)
for _ in range(15):
    for batch in torch.randperm(len(images), generator=generator).split(64):
        loss = F.cross_entropy(head(encoder(images[batch])), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
torch.save(encoder.state_dict(), "digits_0_to_4.pth")

# %%
# BYOL from both starts
# ---------------------
# With ``weights`` the learning rate is 0.3 times what it is from scratch, as tuning
# wants. What counts is a linear probe on five labels a class, for ten draws of them. No
# epochs at all is the encoder as it is.


def probe(byol):
    """Test accuracies of a linear probe on a few labels, for several draws."""
    rows, rows_test = byol.transform(X), byol.transform(X_test)
    scores = []
    for seed in range(N_DRAWS):
        rng = np.random.default_rng(seed)
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(y == k), N_LABELS, False) for k in range(10)]
        )
        clf = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        clf.fit(rows[chosen], y[chosen])
        scores.append(clf.score(rows_test, y_test))
    return scores


figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
print("start        epochs   test accuracy, mean and spread over draws of labels")
starts = {"from scratch": (None, "o-"), "pretrained": ("digits_0_to_4.pth", "s--")}
for name, (weights, style) in starts.items():
    scores = [
        probe(BYOLTransformer(weights=weights, max_epochs=n, random_state=1).fit(X))
        for n in N_EPOCHS
    ]
    for n_epochs, draws in zip(N_EPOCHS, scores, strict=True):
        print(f"{name:<12} {n_epochs:>6}   {np.mean(draws):.3f} ± {np.std(draws):.3f}")
    axis.plot(N_EPOCHS, np.mean(scores, axis=1), style, label=name)
axis.set(
    xlabel="epochs of BYOL on all digits",
    ylabel=f"test accuracy, {N_LABELS} labels a class",
    title="Two starts, mean of ten draws of the labels",
)
axis.set_xticks(N_EPOCHS)
axis.legend()
axis.grid(alpha=0.3)
figure.savefig("pretrained.png")

# %%
# Before any training by BYOL the pretrained encoder is about where eight epochs from
# scratch lead, and it gains less from them: the longer BYOL trains, the less it matters
# where it began.
