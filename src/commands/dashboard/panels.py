"""What the W&B workspace and report of a project show; needs the package wandb-workspaces."""

from collections.abc import Sequence

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2.interface import Panel

STEP = "trainer/global_step"

TABLE = "val/scores"

SPEED = ("perf/images_per_s", "perf/data_wait")


def scores(benchmark: str) -> tuple[str, ...]:
    """Return the names of the scores of a benchmark that are drawn over the steps."""
    return tuple(f"val/{benchmark}/{metric}" for metric in ("psnr", "ssim"))


def build_workspace(entity: str, project: str, name: str, benchmark: str) -> ws.Workspace:
    """Return a workspace view: scores on top, then the course of training, then speed.

    Runs are grouped by model and attention, so that seeds of one setting become one curve with its
    spread. Panels of pictures and tables are added by W&B itself.
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            ws.Section("Scores", panels=[_curve(key) for key in scores(benchmark)], is_open=True),
            ws.Section("Training", panels=[_curve("train/loss", log=True)], is_open=True),
            ws.Section("Speed", panels=[_curve(key) for key in SPEED]),
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Config("model"), ws.Config("attention")],
            order=[ws.Ordering(ws.Summary("val/psnr"), ascending=False)],
            pinned_columns=[
                *("run:displayName", "summary:val/psnr", "summary:val/ssim"),
                *("config:model", "config:attention", "config:parameters"),
            ],
        ),
        auto_generate_panels=True,
    )


def build_report(
    entity: str, project: str, name: str, benchmark: str, images: Sequence[str]
) -> wr.Report:
    """Return a report: scores and curves, cost against quality, settings, scores of each image."""
    psnr, ssim = scores(benchmark)
    pictures = [f"images/{benchmark}_{image}" for image in images]
    return wr.Report(
        entity=entity,
        project=project,
        title=name,
        description=f"Runs of {project}, scored on {benchmark}.",
        width="fluid",
        blocks=[
            wr.TableOfContents(),
            wr.H1("Scores"),
            wr.P("PSNR in dB and SSIM are means over images, under the protocol of each run."),
            _grid(
                wr.BarPlot(title="PSNR (dB)", metrics=[psnr], groupby=wr.Config("attention")),
                wr.BarPlot(title="SSIM", metrics=[ssim], groupby=wr.Config("attention")),
                _curve(psnr),
                _curve("train/loss", log=True),
            ),
            wr.H1("Cost"),
            _grid(
                wr.ScatterPlot(
                    title="Parameters against PSNR",
                    x=wr.Config("parameters"),
                    y=wr.SummaryMetric(psnr),
                    log_x=True,
                ),
                _curve("perf/images_per_s"),
            ),
            wr.H1("Settings"),
            _grid(
                wr.ParallelCoordinatesPlot(
                    columns=[
                        wr.ParallelCoordinatesPlotColumn(wr.Config("learning_rate"), log=True),
                        wr.ParallelCoordinatesPlotColumn(wr.Config("batch_size")),
                        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(psnr)),
                    ]
                ),
                wr.RunComparer(diff_only=True),
            ),
            wr.H1("Images"),
            wr.P("Scores of each image at the last validation of each run."),
            wr.WeaveBlockSummaryTable(entity=entity, project=project, table_name=TABLE),
            wr.P("Each picture is input | restored | target | five times the error."),
            _grid(wr.MediaBrowser(media_keys=pictures, num_columns=1)),
        ],
    )


def _curve(key: str, *, log: bool = False) -> wr.LinePlot:
    return wr.LinePlot(title=key, x=STEP, y=[key], log_y=log)


def _grid(*panels: Panel) -> wr.PanelGrid:
    """Return panels two in a row; its runs are those of the report's project."""
    for index, panel in enumerate(panels):
        panel.layout = wr.Layout(x=12 * (index % 2), y=8 * (index // 2), w=12, h=8)
    return wr.PanelGrid(panels=list(panels))
