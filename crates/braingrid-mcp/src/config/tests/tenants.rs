//! What is set for single organizations.

use super::*;

const HTTP: &str = "transport = \"http\"\nupstream_audience = \"api\"\n\
                    oauth_issuer = \"https://auth.test\"\n";

#[test]
fn each_table_is_an_organizations_with_its_capitals() {
    let toml = format!(
        "{HTTP}[tenants.\"org_01HX\"]\ntools = [\"list_*\", \"info\"]\nread_only = true\n\
         [tenants.\"3f2504e0-4f89-11d3-9a0c-0305e82c3301\"]\nissuers = \"https://auth.test\"\n\
         clients = [\"a\", \"b\"]\n[tenants.org_2]\nsuspended = true\n"
    );
    let tenants = http(load_file(&toml, &[])).auth.tenants;
    let one = &tenants["org_01HX"];
    assert_eq!(one.settings.tools.as_deref().unwrap(), ["list_*", "info"]);
    assert_eq!((one.settings.read_only, one.suspended), (Some(true), false));
    let two = &tenants["3f2504e0-4f89-11d3-9a0c-0305e82c3301"].settings;
    assert_eq!(two.issuers.as_deref().unwrap(), ["https://auth.test"]);
    assert_eq!(two.clients.as_deref().unwrap(), ["a", "b"]);
    assert_eq!((&two.tools, two.read_only), (&None, None));
    assert!(tenants["org_2"].suspended && tenants.len() == 3);
}

#[test]
fn what_would_do_nothing_is_named_with_its_organization() {
    let toml = format!(
        "{HTTP}[tenants.\"org_1\"]\ntools = [\"no_such_tool\"]\nreadonly = true\n\
         [tenants.\"org_2\"]\nissuers = [\"https://other.test\"]\n\
         [tenants.\"org_3\"]\nclients = []\n[tenants.\"org 4\"]\nread_only = true\n\
         [tenants.default]\nread_only = true\n[tenants.\"org_5\"]\nread_only = \"maybe\"\n"
    );
    let found = problems(load_file(&toml, &[]));
    let expected = [
        ("tools of org_1 of tenants in ", "means no tool"),
        (
            "readonly of org_1 of tenants in ",
            "did you mean read_only?",
        ),
        (
            "issuers of org_2 of tenants in ",
            "no issuer of this server",
        ),
        ("clients of org_3 of tenants in ", "names none"),
        ("org 4 of tenants in ", "no organization id"),
        ("default of tenants in ", "no organization id"),
        ("read_only of org_5 of tenants in ", "neither on nor off"),
    ];
    for (start, told) in expected {
        let fits = |line: &String| line.starts_with(start) && line.contains(told);
        assert!(found.iter().any(fits), "{start} … {told} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}
