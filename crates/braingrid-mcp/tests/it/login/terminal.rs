//! What the terminal shows, as the README shows it.

use super::*;

#[tokio::test]
async fn the_readme_shows_what_the_terminal_shows() {
    let world = World::small().await;
    world.api.set_membership("user_ada", "org_ada");
    let (mut login, url) = start_login(&world).await;
    browse(&url).await;
    assert!(login.wait(LIMIT).await.unwrap().success());
    let mut session = vec!["$ braingrid-mcp login --no-browser".to_owned()];
    session.extend(written(login.output(), Source::Stderr));
    session.extend(written(login.output(), Source::Stdout));
    for words in [&["whoami"][..], &["status"], &["logout"], &["status"]] {
        let ran = run(&command(&world, words)).await;
        session.push(String::new());
        session.push(["$ braingrid-mcp", words[0]].join(" "));
        session.extend((ran.stdout + &ran.stderr).lines().map(str::to_owned));
    }
    let shown = stable(&session.join("\n"), &world, &url);
    let readme = include_str!("../../../../../README.md");
    let (_, block) = readme.split_once("<!-- login -->\n\n```text\n").unwrap();
    let (block, _) = block.split_once("\n```\n").unwrap();
    assert_eq!(block, shown, "the README's block should be:\n{shown}");
}

fn written(output: &Journal<Captured>, to: Source) -> impl Iterator<Item = String> {
    let lines = output.entries().into_iter();
    lines.filter(move |it| it.source == to).map(|it| it.text)
}

/// What differs from run to run, as it is for a user.
fn stable(text: &str, world: &World, url: &str) -> String {
    let query = url::Url::parse(url).unwrap();
    let client = query.query_pairs().find(|(name, _)| name == "client_id");
    let client = client.unwrap().1.into_owned();
    let file = login_file(world).display().to_string();
    let address = "https://auth.braingrid.ai/oauth2/authorize?response_type=code&client_id=…";
    let (issuer, api) = (world.issuer.url(), world.api.url());
    text.replace(url, address)
        .replace(&format!("OAUTH_ISSUER={issuer} "), "")
        .replace(&format!(" --api-url {api}"), "")
        .replace(&api, "https://app.braingrid.ai")
        .replace(&world.issuer.url(), "https://auth.braingrid.ai")
        .replace(crate::world::BINARY, "braingrid-mcp")
        .replace(&file, "~/.config/braingrid-mcp/login.json")
        .replace(&client, "client_0f3a")
        .replace("User user_ada (user_ada@", "Ada (ada@")
        .replace("Organization org_ada (", "Engines (")
        .replace("59 minutes", "60 minutes")
}
