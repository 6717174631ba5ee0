//! `health-check system|account`: prints the report and ends with its exit code.

use std::time::Duration;

use crs_admin_api::command::health_check::{Reply as Report, Request as Ask, What};
use crs_admin_api::render::{self, Format};
use crs_admin_api::view::{Render, Section, View};
use crs_admin_api::{AdminError, Code, Exit, Reply, Request};

use crate::args::{Global, HealthCheck, HealthFormat, HealthWhat, Output};
use crate::client::Client;
use crate::output;

/// A real call and a real message, with the time-outs of both.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(global: &Global, args: &HealthCheck) -> Result<Exit, AdminError> {
    let what = match &args.what {
        HealthWhat::System => What::System,
        HealthWhat::Account { account } => What::Account(account.clone()),
    };
    let request = Request::HealthCheck(Ask { what, local_only: args.local_only });
    let reply = Client::connect(&global.socket)?.ask(&request, PATIENCE)?;
    let Reply::HealthCheck(report) = reply else {
        return Err(AdminError::new(Code::Malformed, "the node answered something else"));
    };
    output::print(&printed(&report, global, args.output_format))?;
    Ok(report.exit())
}

/// `--output-format` decides, then `--output`; JSON when neither is given (C-390).
fn printed(report: &Report, global: &Global, format: Option<HealthFormat>) -> String {
    let mut options = output::options(global);
    let tests = View::One(Section::rows("tests", "TESTS", &report.tests));
    match (format, global.output) {
        (Some(HealthFormat::Summary), _) => return format!("{}\n", report.result.as_str()),
        (Some(HealthFormat::Tsv), _) | (None, Some(Output::Tsv)) => {
            options.format = Format::Tsv;
            return render::render(&tests, &options);
        }
        (Some(HealthFormat::Json), _) | (None, None | Some(Output::Json)) => {
            options.format = Format::Json;
        }
        (None, Some(Output::Table)) => options.format = Format::Table,
    }
    render::render(&report.view(), &options)
}
