use super::*;

fn config(text: &str) -> Result<Config, String> {
    let raw = raw::parse("k.toml", text).map_err(|e| e.to_string())?;
    Config::from_raw(raw).map_err(|e| e.to_string())
}

#[test]
fn typed_defaults_are_those_of_the_file() {
    let read = config("").unwrap();
    assert_eq!(
        format!("{:?}", read.admin),
        format!("{:?}", Admin::default())
    );
    assert_eq!(format!("{:?}", read.http), format!("{:?}", Http::default()));
}

/// As the downward API of Kubernetes puts it there.
#[test]
fn the_environment_tells_the_limit_of_the_container() {
    let name = "KEYSCAPE_CONTAINER_LIMIT".to_owned();
    let env = [(name, "2147483648".to_owned())].into();
    let raw = raw::parse("k.toml", "[container]\nlimits = ['b:2=1GiB']").unwrap();
    let raw = raw::overlay(raw, &env).map_err(|e| e.to_string()).ok();
    let read = Config::from_raw(raw.unwrap()).unwrap();
    assert_eq!(read.containers.limit(&["a:1"]), Some(2 << 30));
    assert_eq!(read.containers.limit(&["b:2"]), Some(1 << 30));
}

/// `configs/keyscape.toml` shows every key with its default, commented out: with the comments taken
/// off it must be the defaults, key for key.
#[test]
fn the_example_file_shows_every_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/keyscape.toml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(raw::parse("example", &text).is_ok());
    let bare: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("#:").map_or(line, str::trim_start))
        .filter(|line| !line.starts_with('#'))
        .collect();
    let shown: toml::Value = toml::from_str(&bare.join("\n")).unwrap();
    assert_eq!(shown, toml::Value::try_from(Raw::default()).unwrap());
}

#[test]
fn what_cannot_be_used_is_named() {
    for (text, expected) in [
        (
            "sources = ['a:1']",
            "source 1: \"a:1\" is not a URL: write redis://a:1",
        ),
        (
            "sources = ['redis://a', 'valkey://a:6379']",
            "source 2: a:6379 is named twice",
        ),
        (
            "[admin]\nlisten = 'nine'",
            "admin.listen: \"nine\" is not an address",
        ),
        (
            "[admin]\nclients_max = 0",
            "admin.clients_max: must be 1 or more",
        ),
        (
            "[tls]\ncert_file = 'x'",
            "tls: has a certificate but no key",
        ),
        ("[link]\nuser = 'u'", "link.user: has no link.password"),
        (
            "[sentinel]\nuser = 'u'",
            "sentinel.user: has no sentinel.password",
        ),
        (
            "follow = 'slave'",
            "follow: \"slave\" is not master, replica, prefer-replica or local",
        ),
        ("memory_cap = '1MiB'", "memory_cap: \"1MiB\" is not auto"),
        ("shard = '3/3'", "shard: \"3/3\" is not i/n"),
        ("[watch]\nforecast_s = 59", "watch.forecast_s: 59 is not"),
        (
            "[discovery]\npoll_ms = 5",
            "discovery.poll_ms: must be 100 or more",
        ),
        (
            "[discovery]\nnat = ['a']",
            "discovery.nat: \"a\" is not announced=reachable",
        ),
        (
            "sources = ['redis-cluster://a,b', 'redis-cluster://c,b:6379']",
            "source 2: c:6379 is named twice",
        ),
        (
            "sources = ['redis-cluster://a#x', 'redis-sentinel://b#x']",
            "source 2: another one is called x too",
        ),
        (
            "[link]\nretry_min_ms = 9\nretry_max_ms = 3",
            "link.retry_min_ms: must be above 0",
        ),
        (
            "[link]\npassword = 'a'\npassword_file = 'b'",
            "link.password: is given both",
        ),
        (
            "sources_file = '/nonexistent/x'",
            "/nonexistent/x: cannot be read",
        ),
        (
            "[[admin.users]]\nname = 'u'",
            "admin.users \"u\": has no password",
        ),
    ] {
        let got = config(text).err().unwrap_or_default();
        assert!(got.starts_with(expected), "{text}: {got}");
    }
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "hidden\n").unwrap();
    let text = format!("[admin]\npassword_file = '{}'", file.display());
    let read = config(&text).unwrap();
    let password = read.admin.password.clone().unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&password), "hidden");
    assert!(!format!("{read:?}").contains("hidden"));
}

#[test]
fn unrelated_deployments_stand_side_by_side() {
    let text = "sources = ['redis://a', 'redis-cluster://a#x', 'redis-sentinel://s/m', \
                'redis-sentinel://s/n#n']";
    assert_eq!(config(text).unwrap().sources.len(), 4);
}

#[test]
fn rules_are_tuned() {
    let text = "[advice]\nenable = ['alr-23']\n[advice.limits.REP-03]\nbridge_s = 5\n\
                [advice.severities]\nSEC-01 = 'low'\n\
                [[advice.silence]]\nrule = 'MEM-02'\nreason = 'known'\nmaster = 'a:1'";
    let limits = config(text).unwrap().advice.limits;
    let rule = |id| analyzer::advice::rule(id).unwrap();
    assert_eq!(limits.get(rule("REP-03"), "bridge_s"), 5);
    assert_eq!(
        limits.silenced(rule("MEM-02"), &["a:1", "x"]),
        Some("known")
    );
    assert_eq!(limits.silenced(rule("MEM-02"), &["b:1"]), None);
    assert_eq!(limits.silenced(rule("ALR-23"), &["b:1"]), None);
    let mute = "[[advice.silence]]\nrule = 'SEC-01'\nreason = ' '";
    let error = config(mute).err();
    assert_eq!(error.as_deref(), Some("advice: SEC-01 has no reason"));
    let late = config("[advice.limits.KEY-07]\ndays = 365").err();
    assert_eq!(
        late.as_deref(),
        Some("advice: KEY-07: days is at most 180"),
        "ages begin anew after 194 days"
    );
    let often = config("[advice]\nevery_ms = 5").err();
    assert_eq!(
        often.as_deref(),
        Some("advice.every_ms: must be 1000 or more")
    );
    let untouched = config("").unwrap().advice.limits;
    assert!(untouched.silenced(rule("ALR-23"), &["b:1"]).is_some());
}

#[test]
fn a_stateful_set_numbers_its_shards() {
    for (shard, pod, expected) in [
        ("", None, Some("")),
        ("1/3", Some("keyscape-2"), Some("1/3")),
        ("ordinal/3", Some("my-keyscape-2"), Some("2/3")),
        ("ordinal/3", Some("keyscape"), None),
        ("ordinal/3", Some("keyscape-x"), None),
        ("ordinal/3", None, None),
    ] {
        let got = with_ordinal(shard, pod).ok();
        assert_eq!(got.as_deref(), expected, "{shard} {pod:?}");
    }
}

#[test]
fn keys_of_compatible_series_have_a_database_and_a_name() {
    let http = |text: &str| config(&format!("[metrics]\n{text}")).map(|config| config.http.compat);
    assert_eq!(http("compat_keys = ['db0=a']"), Ok(None));
    let expected = vec![(3, b"a=b".to_vec()), (0, b"c".to_vec())];
    let keys = "compat = true\ncompat_keys = ['db3=a=b', '0=c']";
    assert_eq!(http(keys), Ok(Some(expected)));
    let wrong = "metrics.compat_keys: \"dbx=a\" is not like db0=name";
    assert_eq!(http("compat_keys = ['dbx=a']"), Err(wrong.to_owned()));
    let twice = "metrics.compat_keys: \"0=a\" is there twice";
    let keys = "compat_keys = ['db0=a', 'db1=a', '0=a']";
    assert_eq!(http(keys), Err(twice.to_owned()));
}
