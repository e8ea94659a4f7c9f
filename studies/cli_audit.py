"""The command line of audits: `truerank audit plan | power | draw`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["audit_app"]

audit_app = typer.Typer(help="Plan audits, size them, and draw who is audited.", no_args_is_help=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Level = Annotated[float, typer.Option(help="Level of the one-sided exact binomial test.")]


@audit_app.command()
def plan(
    what: Annotated[str, typer.Argument(metavar="GAME-OR-POPULATION", help="A game or population file, gsm8k, mmlu.")],
    items: Annotated[int, typer.Option(help="Fresh items per audit.")],
    fine: Annotated[float, typer.Option(help="Fine of a flagged entry, prize units.")],
    level: Level = 0.01,
    cost: Annotated[float, typer.Option(help="Cost of an audit, any unit.")] = 1.0,
    margin: Annotated[float, typer.Option(help="What every deviation must lose, prize units.")] = 0.0,
    protocol: Annotated[Path | None, typer.Option(help="Protocol file to start from.")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Hold in this many draws; 0: as stated only.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the protocol to this file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """The cheapest audits that deter every profitable deviation, or why there are none.

    Example: truerank audit plan game.toml --items 500 --fine 1 -o plan.toml
    """
    from dataclasses import replace

    from designer.audit_plans import plan_for_draws
    from followers.errors import InputError
    from solvers.certificate import to_json
    from studies.design import confirm, read_subject
    from studies.files import write_toml

    subject = read_subject(what, protocol, draws, seed)
    try:
        planned = plan_for_draws(
            subject.designed_for,
            subject.protocol,
            items=items,
            level=level,
            fine=fine,
            cost_per_audit=cost,
            margin=margin,
        )
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    designed = None if planned.plan is None else replace(subject.protocol, audit=planned.plan)
    confirmed = None if designed is None else confirm(subject, designed)
    if output is not None and designed is not None:
        write_toml(output, designed.document())
    if as_json:
        document = {
            "status": planned.status.value,
            "plan": planned.plan and planned.plan.document(),
            "expected_audits": to_json(planned.expected_audits),
            "cost": to_json(planned.cost),
            "false_flags": to_json(planned.false_flags),
            "binding": to_json(list(planned.binding)),
            "sentences": list(planned.sentences()),
            "confirmed": confirmed and confirmed.document(),
        }
        print(json.dumps(document))
    else:
        print("\n".join(planned.sentences()))
        if confirmed is not None:
            rest = 0.0 if abs(confirmed.margin) < 1e-12 else confirmed.margin  # what binds leaves rounding
            print(f"solved anew: {confirmed.status.upper()}, stability margin {rest:.4g}")
            print(f"checker: {confirmed.report.summary()}")
        if output is not None:
            print(f"wrote {output}" if designed is not None else f"nothing written to {output}: there is no plan")
    raise typer.Exit(0 if confirmed is not None and confirmed.report.passed else 3)


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
            least = "no number tried" if needed.least is None else f"{needed.least:,} items"
            always = "beyond what was tried" if needed.always is None else f"{needed.always:,} items"
            text = f"power {wanted:g} is first had with {least}, and from {always} on it is never lost again"
    except ValueError as error:
        raise InputError(str(error)) from None
    print(json.dumps(document) if as_json else text)


@audit_app.command()
def draw(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="Protocol file with the audits.")],
    board: Annotated[Path, typer.Argument(help="Text file: names of the entries from the top, one per line.")],
    secret: Annotated[str, typer.Option(help="The leader's secret, at least 32 hexadecimal digits.")],
    label: Annotated[str, typer.Option("--round", help="Label of this round.")],
    beacon: Annotated[str, typer.Option(help="Public random text that came after the commitment.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Who is audited this round: what the committed secret draws, for anybody to verify.

    Example: truerank audit draw plan.toml board.txt --secret $SECRET --round 2026-11
    """
    import designer.audit_draw as rounds
    from followers.errors import InputError
    from studies.files import read_protocol

    announced = read_protocol(plan_file).audit
    if not announced.active:
        raise InputError(f"{plan_file}: audits nobody; a plan with [protocol] audit is needed")
    try:
        entries = [line.strip() for line in board.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{board}: cannot be read ({error})") from None
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        raise InputError("audit draw: --secret must be hexadecimal digits, an even number of them") from None
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
