//! Which tools are offered.

use mcp_core::ToolOptions;

use crate::config::reader::Reader;
use crate::config::settings;

pub(super) fn read_tools(reader: &mut Reader) -> ToolOptions {
    let mut read = ToolOptions::default();
    read.read_only = reader.value(&settings::READ_ONLY);
    read.include = reader.list(&settings::TOOLS);
    read.exclude = reader.list(&settings::EXCLUDE_TOOLS);
    read.experimental = reader.value(&settings::EXPERIMENTAL);
    let offered = read.selected();
    if offered.is_empty() {
        let setting = if read.include.is_empty() {
            &settings::EXCLUDE_TOOLS
        } else {
            &settings::TOOLS
        };
        let why = read
            .include
            .first()
            .map(|name| why_not_offered(name, &read));
        let why = why.unwrap_or("all are left out");
        reader.report(
            setting,
            format!("no tool would be offered: {why}"),
            "name a tool that these settings leave, or unset them",
        );
        return read;
    }
    for name in read
        .include
        .iter()
        .filter(|name| !offered.contains(&name.as_str()))
    {
        let why = why_not_offered(name, &read);
        reader.warnings.push(format!(
            "BRAINGRID_TOOLS names {name}, which is not offered: {why}"
        ));
    }
    read
}

fn why_not_offered(name: &str, options: &ToolOptions) -> &'static str {
    let mut options = options.clone();
    options.experimental = true;
    if options.exclude.iter().any(|out| out == name) {
        "BRAINGRID_EXCLUDE_TOOLS leaves it out"
    } else if options.selected().contains(&name) {
        "it is experimental, and BRAINGRID_EXPERIMENTAL is off"
    } else {
        "it changes something, and BRAINGRID_READ_ONLY is on"
    }
}
