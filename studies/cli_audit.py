"""The command line of audits: `truerank audit plan | power | commit | draw | verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies.cli_options import (
    SOLVED,
    UNDECIDED,
    ForDraws,
    From,
    JsonFlag,
    PlanFile,
    Promise,
    Seed,
    Tail,
    WhatFor,
    for_draws,
    stopped,
    terminal,
)

if TYPE_CHECKING:
    from designer.audits import AuditPlan

__all__ = ["audit_app"]

_DISPROVED = 1  # as `truerank paper` and `demo` end where a check fails

audit_app = typer.Typer(help="Plan audits, size them, and draw who is audited.", no_args_is_help=True)

Level = Annotated[float, typer.Option(help="Level of the one-sided exact binomial test.")]


@audit_app.command()
def plan(
    what: WhatFor,
    items: Annotated[
        str, typer.Option(help='Fresh items per audit: a number, several ("100,200,400"), or "best" of 1 to 20,000.')
    ],
    fine: Annotated[float, typer.Option(help="Fine of a flagged entry, prize units.")],
    level: Level = 0.01,
    cost: Annotated[float, typer.Option(help="Cost of an audit, any unit.")] = 1.0,
    item_cost: Annotated[float, typer.Option(help="Cost of a fresh item, the same unit.")] = 0.0,
    margin: Promise = 0.0,
    protocol: From = None,
    draws: ForDraws = 0,
    tail: Tail = None,
    seed: Seed = 0,
    output: PlanFile = None,
    as_json: JsonFlag = False,
) -> None:
    """The cheapest audits that deter every profitable deviation, or why there are none.

    Example: truerank audit plan game.toml --items 500 --fine 1 -o plan.toml
    """
    from followers.errors import InputError
    from studies.audit_design import plan_document, planned
    from studies.design import confirm, read_subject, write_design
    from studies.design_tables import print_audits, print_confirmed

    for_draws("audit plan", "--tail", tail, draws)
    subject = read_subject(what, protocol, draws, seed)
    try:
        found = planned(
            subject, items=items, level=level, fine=fine, cost=cost, item_cost=item_cost, margin=margin, tail=tail
        )
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    except RuntimeError as error:
        raise stopped(what, error) from None
    confirmed = None if found.protocol is None else confirm(subject, found.protocol, tail)
    if output is not None and found.protocol is not None:
        write_design(output, found.protocol, found.rows)
    if as_json:
        print(json.dumps(plan_document(found, confirmed)))
    else:
        print("\n".join(found.sentences))
        print_audits(terminal(), found)
        if confirmed is not None:
            print_confirmed(terminal(), confirmed)
        if output is not None:
            print(f"wrote {output}" if found.protocol else f"nothing written to {output}: there is no plan")
    raise typer.Exit(SOLVED if confirmed is not None and confirmed.report.passed else UNDECIDED)


@audit_app.command()
def power(
    claimed: Annotated[float, typer.Option(help="Published score, share of correct items.")],
    fresh: Annotated[float, typer.Option(help="What the entry masters on fresh items.")],
    level: Level = 0.01,
    items: Annotated[int | None, typer.Option(help="Fresh items: how likely is the entry flagged?")] = None,
    wanted: Annotated[float | None, typer.Option("--power", help="Power wanted: how many items does it take?")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Power of an audit, or the items it takes.

    Example: truerank audit power --claimed 0.7 --fresh 0.6 --power 0.9
    """
    import designer.audit_power as sizes
    from followers.errors import InputError
    from solvers.certificate import to_json

    if (items is None) == (wanted is None):
        raise InputError("audit power: give --items or --power, one of them")
    try:
        if items is not None:
            found = float(sizes.power(claimed, fresh, items=items, level=level))
            document = {"power": found, "items": items, "level": level, "claimed": claimed, "fresh": fresh}
            text = f"{items:,} items flag a claim of {claimed:g} that masters {fresh:g} with probability {found:.6g}"
        else:
            assert wanted is not None
            needed = sizes.items_needed(claimed, fresh, level=level, power=wanted)
            document = to_json(needed)
            text = needed.sentence()
    except ValueError as error:
        raise InputError(str(error)) from None
    print(json.dumps(document) if as_json else text)


PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="Protocol file with the audits.")]
BoardArgument = Annotated[Path, typer.Argument(help="Text file: names of the entries from the top, one per line.")]
Secret = Annotated[str, typer.Option(help="The leader's secret, at least 32 hexadecimal digits.")]
RoundLabel = Annotated[str, typer.Option("--round", help="Label of this round.")]
Beacon = Annotated[str, typer.Option(help="Public random text that came after the commitment.")]


@audit_app.command()
def commit(
    plan_file: PlanArgument,
    label: RoundLabel,
    secret: Annotated[
        str | None, typer.Option(help="The leader's secret, at least 32 hexadecimal digits; a fresh one if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What the leader publishes before the round: the commitment to plan and secret.

    Example: truerank audit commit plan.toml --round 2026-11
    """
    import secrets

    import designer.audit_draw as rounds
    from followers.errors import InputError

    announced, given = _announced(plan_file), secret
    key = secrets.token_bytes(32) if given is None else _key(given)
    try:
        committed = rounds.commitment(key, round=label, plan=announced)
    except ValueError as error:
        raise InputError(str(error)) from None
    if as_json:
        print(json.dumps({"commitment": committed, "round": label, "secret": key.hex()}))
    else:
        print(f"commitment {committed}: publish it, with the plan, before entries close")
        if given is None:
            print(f"secret {key.hex()}: keep it until the ranking is out, then reveal it")


@audit_app.command()
def draw(
    plan_file: PlanArgument,
    board: BoardArgument,
    secret: Secret,
    label: RoundLabel,
    beacon: Beacon = "",
    as_json: JsonFlag = False,
) -> None:
    """Who is audited this round: what the committed secret draws, for anybody to verify.

    Example: truerank audit draw plan.toml board.txt --secret $SECRET --round 2026-11
    """
    import designer.audit_draw as rounds
    from followers.errors import InputError

    announced, entries, key = _announced(plan_file), _entries(board), _key(secret)
    try:
        committed = rounds.commitment(key, round=label, plan=announced)
        drawn = rounds.draw(key, round=label, entries=entries, plan=announced, beacon=beacon)
    except ValueError as error:
        raise InputError(str(error)) from None
    if as_json:
        print(json.dumps({"commitment": committed, "round": label, "audited": list(drawn.audited)}))
    else:
        print(f"commitment {committed}")
        print(f"audited in round {label}: {', '.join(drawn.audited) or 'nobody'}")


@audit_app.command()
def verify(
    plan_file: PlanArgument,
    board: BoardArgument,
    secret: Secret,
    label: RoundLabel,
    published: Annotated[str, typer.Option("--commitment", help="What the leader published before the round.")],
    audited: Annotated[list[str] | None, typer.Option(help="An entry that was audited; once for each.")] = None,
    beacon: Beacon = "",
    as_json: JsonFlag = False,
) -> None:
    """Whether a revealed round is what was committed to and the entries audited are those it draws; exit code 1 if not.

    Example: truerank audit verify plan.toml board.txt --commitment 626b.. --secret $SECRET --round 2026-11 --audited A
    """
    import designer.audit_draw as rounds
    from followers.errors import InputError

    announced, entries, key = _announced(plan_file), _entries(board), _key(secret)
    strangers = [name for name in audited or () if name not in entries]
    if strangers:
        raise InputError(f"audit verify: --audited {strangers[0]!r} is not on {board}")
    try:
        found = rounds.verify(
            published, key, round=label, entries=entries, plan=announced, audited=audited or (), beacon=beacon
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    if as_json:
        print(json.dumps({"passed": found.passed, "detail": found.detail}))
    else:
        print(f"{'verified' if found.passed else 'FAILED'}: {found.detail}")
    raise typer.Exit(SOLVED if found.passed else _DISPROVED)


def _announced(plan_file: Path) -> AuditPlan:
    from followers.errors import InputError
    from studies.files import read_protocol

    announced = read_protocol(plan_file).audit
    if not announced.active:
        raise InputError(f"{plan_file}: audits nobody; a plan with [protocol] audit is needed")
    return announced


def _entries(board: Path) -> list[str]:
    from followers.errors import InputError

    try:
        text = board.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{board}: not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{board}: cannot be read ({error.strerror})") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _key(secret: str) -> bytes:
    from followers.errors import InputError

    try:
        return bytes.fromhex(secret)
    except ValueError:
        raise InputError("audit draw: --secret must be hexadecimal digits, an even number of them") from None
