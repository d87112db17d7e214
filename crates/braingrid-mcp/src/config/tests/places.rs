//! Which files are read, and which are not.

use super::*;

fn urls(around: &Surroundings) -> (String, Vec<String>) {
    let config = load(&Flags::new(), around).unwrap().config;
    (config.api.base_url.to_string(), config.warnings)
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_file_in_the_working_directory_is_pointed_out_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    // It is not even looked at whether it is TOML.
    write(
        folder.path(),
        "braingrid-mcp.toml",
        "api_url = \"https://evil.example\" [",
    );
    for environment in [
        &[][..],
        &[("MCP_TRANSPORT", "http"), ("UPSTREAM_AUDIENCE", "x")],
    ] {
        let (url, warnings) = urls(&around(folder.path(), environment));
        assert_eq!(url, "https://app.braingrid.ai/");
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        for word in ["is not read", "--config", "BRAINGRID_CONFIG"] {
            assert!(warning.contains(word), "{warning}");
        }
    }
    // A link is not followed, and one to nothing is pointed out too.
    #[cfg(unix)]
    {
        let linked = tempfile::tempdir().unwrap();
        let link = linked.path().join("braingrid-mcp.toml");
        std::os::unix::fs::symlink("/nonexistent", link).unwrap();
        assert_eq!(urls(&around(linked.path(), &[])).1.len(), 1);
    }
}

#[test]
#[cfg(all(unix, not(target_os = "macos")))]
fn the_users_own_folder_is_read_unless_a_file_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/braingrid-mcp");
    write(
        &folder,
        "braingrid-mcp.toml",
        "\u{feff}api_url = \"https://own.example\"\n",
    );
    let named = write(
        home.path(),
        "named.toml",
        "api_url = \"https://named.example\"\n",
    );
    let at_home = ("HOME", home.path().to_str().unwrap());
    let own = around(EMPTY.path(), &[at_home]);
    assert_eq!(urls(&own), ("https://own.example/".to_owned(), vec![]));
    let both = around(EMPTY.path(), &[at_home, ("BRAINGRID_CONFIG", &named)]);
    assert_eq!(urls(&both).0, "https://named.example/");
    // Started in that very folder, there is nothing to point out.
    assert_eq!(urls(&around(&folder, &[at_home])).1, Vec::<String>::new());

    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(folder.join("braingrid-mcp.toml"), open).unwrap();
    let refused = problems(load(&Flags::new(), &own));
    assert!(refused[0].contains("written by others"), "{refused:?}");
    assert!(refused[0].contains("--config"), "{refused:?}");
}

#[test]
fn a_relative_path_in_a_variable_is_refused_where_clients_choose_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "secret", "hunter2\n");
    write(
        folder.path(),
        "own.toml",
        "transport = \"http\"\nupstream_audience = \"x\"\n",
    );
    let cases = [
        ("BRAINGRID_API_TOKEN_FILE", "secret"),
        ("BRAINGRID_LOGIN_DIR", "login"),
        ("BRAINGRID_LOGIN_DIR", "../login"),
        ("AUDIT_LOG", "./audit.jsonl"),
        ("BRAINGRID_CONFIG", "own.toml"),
    ];
    for (name, value) in cases {
        let refused = problems(load(
            &Flags::new(),
            &around(folder.path(), &[(name, value)]),
        ));
        assert_eq!(refused.len(), 1, "{name}: {refused:?}");
        assert!(refused[0].starts_with(&format!("{name}: ")), "{refused:?}");
        assert!(refused[0].contains("write the whole path"), "{refused:?}");
    }
    // Whoever starts a hosted server chooses its folder.
    let hosted = [("MCP_TRANSPORT", "http"), ("BRAINGRID_CONFIG", "own.toml")];
    http(load(&Flags::new(), &around(folder.path(), &hosted)));
    // A flag is typed where it is meant.
    let typed = flags(&[("config", "own.toml")]);
    http(load(&typed, &around(folder.path(), &[])));
}

#[test]
fn a_relative_path_in_the_file_is_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "audit_log = \"./audit.jsonl\"\nlogin_dir = \"login\"\n";
    let file = write(folder.path(), "own.toml", toml);
    let loaded = load(
        &Flags::new(),
        &around(EMPTY.path(), &[("BRAINGRID_CONFIG", &file)]),
    );
    let config = loaded.unwrap().config;
    let Some(AuditTarget::File(audit)) = config.audit else {
        panic!("no file: {:?}", config.audit)
    };
    assert!(audit.starts_with(folder.path()), "{}", audit.display());
    #[cfg(feature = "login")]
    if let Serve::Stdio(stdio) = config.serve {
        assert_eq!(stdio.login.directory, Some(folder.path().join("login")));
    }
}
