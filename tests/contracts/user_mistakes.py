"""What a user gets wrong: ``make lint`` has mypy find each, and would find an ignore not needed."""

import brenier

brenier.MongeMap(random_state=0).fit(1)  # type: ignore[call-arg]
_ = brenier.audit(len, [[0.0]]).proven  # type: ignore[attr-defined]
brenier.load(1)  # type: ignore[call-overload]
