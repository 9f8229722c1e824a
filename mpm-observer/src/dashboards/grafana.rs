//! A dashboard as Grafana imports it: the classic JSON model, schema version 39 (Grafana 10.4 and
//! later, which convert it by themselves).

use serde_json::{Value, json};

use super::{Kind, Panel, PanelUnit, Source};

const SCHEMA_VERSION: u32 = 39;
/// Columns of Grafana's grid, and the height of panels in its rows.
const COLUMNS: u32 = 24;
const LINES_HEIGHT: u32 = 8;
const VALUE_HEIGHT: u32 = 4;
/// What the metrics are asked for to list jobs and instances.
const LISTED_BY: &str = "mpm_observer_server_watched";
/// An MPM has the colour that it has in the report.
const MPM_COLORS: [(&str, &str); 3] = [
    ("prefork", "#0072b2"),
    ("worker", "#d55e00"),
    ("event", "#009e73"),
];

impl Source {
    /// The dashboard's JSON.
    #[must_use]
    pub fn grafana(&self) -> Value {
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["apache", "httpd", "mpm-observer"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": { "from": "now-30m", "to": "now" },
            "timezone": "browser",
            "annotations": { "list": [] },
            "links": [],
            "templating": { "list": variables() },
            "panels": self.placed_panels(),
        })
    }

    /// The panels and the headings of rows, each in its place.
    fn placed_panels(&self) -> Vec<Value> {
        let mut placed = Vec::new();
        let mut top = 0;
        for row in &self.rows {
            let id = placed.len() + 1;
            placed.push(json!({
                "type": "row",
                "id": id,
                "title": row.title,
                "collapsed": false,
                "gridPos": { "x": 0, "y": top, "w": COLUMNS, "h": 1 },
                "panels": [],
            }));
            top += 1;
            // A line of panels is as high as its highest one.
            let (mut left, mut height) = (0, 0);
            for panel in &row.panels {
                if left + panel.width > COLUMNS {
                    top += height;
                    (left, height) = (0, 0);
                }
                let own_height = match panel.kind {
                    Kind::Lines => LINES_HEIGHT,
                    Kind::Value => VALUE_HEIGHT,
                };
                let place = json!({ "x": left, "y": top, "w": panel.width, "h": own_height });
                placed.push(panel.grafana(placed.len() + 1, &place));
                left += panel.width;
                height = height.max(own_height);
            }
            top += height;
        }
        placed
    }
}

/// The data source, and what narrows the queries.
fn variables() -> Vec<Value> {
    let query = |name: &str, label: &str, matcher: &str| {
        let values = format!("label_values({LISTED_BY}{matcher}, {name})");
        json!({
            "type": "query",
            "name": name,
            "label": label,
            "datasource": data_source(),
            "query": values,
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": ".+",
            "current": { "text": "All", "value": "$__all" },
            "hide": 0,
        })
    };
    vec![
        json!({
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "hide": 0,
        }),
        query("job", "Job", ""),
        query("instance", "Instance", "{job=~\"$job\"}"),
    ]
}

fn data_source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl PanelUnit {
    /// Grafana's name of the unit.
    const fn grafana(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::PerSecond => "cps",
            Self::RequestsPerSecond => "reqps",
            Self::Seconds => "s",
            Self::Share => "percentunit",
            Self::Bytes => "decbytes",
            Self::BytesPerSecond => "Bps",
            Self::YesNo => "bool_yes_no",
        }
    }
}

impl Panel {
    fn grafana(&self, id: usize, place: &Value) -> Value {
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip('A'..)
            .map(|(query, letter)| {
                json!({
                    "refId": letter.to_string(),
                    "datasource": data_source(),
                    "expr": query.for_grafana(),
                    "legendFormat": query.legend,
                    "editorMode": "code",
                    "range": true,
                })
            })
            .collect();
        let (kind, options, defaults) = match self.kind {
            Kind::Lines => ("timeseries", lines_options(), self.lines_defaults()),
            Kind::Value => ("stat", value_options(), self.value_defaults()),
        };
        json!({
            "type": kind,
            "id": id,
            "title": self.title,
            "description": self.description,
            "datasource": data_source(),
            "gridPos": place,
            "targets": targets,
            "options": options,
            "fieldConfig": { "defaults": defaults, "overrides": self.overrides() },
        })
    }

    fn lines_defaults(&self) -> Value {
        let stacking = if self.stacked { "normal" } else { "none" };
        let scale = if self.log {
            json!({ "type": "log", "log": 10 })
        } else {
            json!({ "type": "linear" })
        };
        let mut defaults = json!({
            "unit": self.unit.grafana(),
            "color": { "mode": "palette-classic" },
            "custom": {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": if self.stacked { 40 } else { 5 },
                "showPoints": "never",
                "stacking": { "mode": stacking, "group": "A" },
                "scaleDistribution": scale,
            },
        });
        // A logarithm has no zero to begin at.
        if !self.log {
            defaults["min"] = json!(0);
        }
        defaults
    }

    fn value_defaults(&self) -> Value {
        let (first, then) = match (self.bad_from, self.good_from) {
            (Some(from), _) => ("green", Some(("red", from))),
            (None, Some(from)) => ("red", Some(("green", from))),
            (None, None) => ("text", None),
        };
        let mut steps = vec![json!({ "color": first, "value": null })];
        steps.extend(then.map(|(color, from)| json!({ "color": color, "value": from })));
        json!({
            "unit": self.unit.grafana(),
            "color": { "mode": "thresholds" },
            "thresholds": { "mode": "absolute", "steps": steps },
        })
    }

    /// The colours of the MPMs, where the series are MPMs.
    fn overrides(&self) -> Vec<Value> {
        if !self.queries.iter().any(|query| query.legend == "{{mpm}}") {
            return Vec::new();
        }
        let of_mpm = |(mpm, color): (&str, &str)| {
            json!({
                "matcher": { "id": "byName", "options": mpm },
                "properties": [{
                    "id": "color",
                    "value": { "mode": "fixed", "fixedColor": color },
                }],
            })
        };
        MPM_COLORS.into_iter().map(of_mpm).collect()
    }
}

fn lines_options() -> Value {
    json!({
        "legend": {
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": true,
            "calcs": [],
        },
        "tooltip": { "mode": "multi", "sort": "desc" },
    })
}

fn value_options() -> Value {
    json!({
        "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        "orientation": "auto",
        "textMode": "auto",
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
    })
}
