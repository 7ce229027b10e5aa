//! What touches resolve to: the cases that people complained about in other tools, then the rules one by one.

use proptest::prelude::*;
use shared::attribution::{Aliases, fingerprint, is_direct, mark, resolve};
use shared::channel::Channel;
use shared::event::Touch;

const OWN: [&str; 1] = ["shop.ua"];

/// `utm_source=…&gclid=…|referrer/path`, for short tables.
fn touch(text: &str) -> Touch {
    let (query, referrer) = text.split_once('|').unwrap_or((text, ""));
    let mut touch = Touch::default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = value.to_owned();
        match name {
            "utm_source" => touch.utm_source = Some(value),
            "utm_medium" => touch.utm_medium = Some(value),
            "utm_campaign" => touch.utm_campaign = Some(value),
            "utm_content" => touch.utm_content = Some(value),
            "utm_term" => touch.utm_term = Some(value),
            "utm_id" => touch.utm_id = Some(value),
            "utm_source_platform" => touch.utm_source_platform = Some(value),
            "utm_creative_format" => touch.utm_creative_format = Some(value),
            "click_kind" => touch.click_kind = Some(value),
            name => {
                touch.click_ids.insert(name.to_owned(), value);
            }
        }
    }
    if let Some((host, path)) = referrer.split_once('/') {
        touch.referrer_host = Some(host.to_owned());
        touch.referrer_path = Some(format!("/{path}"));
    }
    touch
}

#[track_caller]
fn check(cases: &[(&str, &str, &str, Channel, bool)]) {
    for (text, source, medium, channel, inferred) in cases {
        let found = resolve(&touch(text), &OWN, &Aliases::default());
        let answer = (
            found.utm_source.as_deref().unwrap_or(""),
            found.utm_medium.as_deref().unwrap_or(""),
            found.channel,
            found.inferred,
        );
        assert_eq!(answer, (*source, *medium, *channel, *inferred), "{text}");
    }
}

#[test]
fn medium_and_click_id_beat_the_referrer() {
    check(&[
        (
            "utm_source=google&utm_medium=cpc&gclid=x|google.com/",
            "google",
            "cpc",
            Channel::PaidSearch,
            false,
        ),
        ("gclid=x|google.com/", "google", "cpc", Channel::PaidSearch, true),
        ("gclid=x", "google", "cpc", Channel::PaidSearch, true),
        (
            "utm_source=newsletter&utm_medium=email|mail.google.com/",
            "email",
            "email",
            Channel::Email,
            false,
        ),
        ("utm_medium=cpc|google.com/", "google", "cpc", Channel::PaidSearch, true),
    ]);
}

#[test]
fn fbclid_and_its_like_alone_never_mean_paid() {
    check(&[
        (
            "fbclid=x|l.facebook.com/",
            "facebook",
            "social",
            Channel::OrganicSocial,
            true,
        ),
        ("fbclid=x", "facebook", "social", Channel::OrganicSocial, true),
        (
            "utm_source=facebook&fbclid=x",
            "facebook",
            "social",
            Channel::OrganicSocial,
            true,
        ),
        (
            "utm_source=ig&fbclid=x",
            "instagram",
            "social",
            Channel::OrganicSocial,
            true,
        ),
        (
            "utm_source=fb&utm_medium=paid&fbclid=x",
            "facebook",
            "paid",
            Channel::PaidSocial,
            false,
        ),
        (
            "utm_source=facebook&utm_medium=cpc&fbclid=x",
            "facebook",
            "cpc",
            Channel::PaidSocial,
            false,
        ),
        ("igshid=x", "instagram", "social", Channel::OrganicSocial, true),
        (
            "epik=x|pinterest.com/",
            "pinterest",
            "social",
            Channel::OrganicSocial,
            true,
        ),
        (
            "srsltid=x|google.com/",
            "google",
            "organic",
            Channel::OrganicShopping,
            true,
        ),
        ("ysclid=x", "yandex", "organic", Channel::OrganicSearch, true),
        ("mc_cid=x", "mailchimp", "email", Channel::Email, true),
        ("awc=x", "awin", "affiliate", Channel::Affiliate, true),
    ]);
}

#[test]
fn ids_that_only_ads_carry_mean_paid() {
    check(&[
        ("gbraid=x", "google", "cpc", Channel::PaidSearch, true),
        ("wbraid=x", "google", "cpc", Channel::PaidSearch, true),
        ("gad_source=1", "google", "cpc", Channel::PaidSearch, true),
        ("msclkid=x", "bing", "cpc", Channel::PaidSearch, true),
        ("yclid=1", "yandex", "cpc", Channel::PaidSearch, true),
        ("ttclid=x", "tiktok", "paid_social", Channel::PaidSocial, true),
        ("twclid=x|t.co/", "twitter", "paid_social", Channel::PaidSocial, true),
        ("ScCid=x", "snapchat", "paid_social", Channel::PaidSocial, true),
        ("dclid=x", "google", "display", Channel::Display, true),
        ("tblci=x", "taboola", "native", Channel::PaidOther, true),
        ("hsa_net=adwords&hsa_cam=1", "google", "cpc", Channel::PaidSearch, true),
        (
            "hsa_src=fb&hsa_cam=1",
            "facebook",
            "paid_social",
            Channel::PaidSocial,
            true,
        ),
        ("utm_source=google&gclid=x", "google", "cpc", Channel::PaidSearch, true),
        ("utm_source=partner&gclid=x", "partner", "", Channel::PaidSearch, false),
        ("click_kind=gclid", "google", "cpc", Channel::PaidSearch, true),
    ]);
}

#[test]
fn a_medium_that_begins_with_p_is_not_paid_and_a_source_that_sells_ads_is_not_either() {
    check(&[
        ("utm_source=google", "google", "", Channel::OrganicSearch, false),
        (
            "utm_source=facebook&utm_medium=post",
            "facebook",
            "post",
            Channel::OrganicSocial,
            false,
        ),
        (
            "utm_source=blog&utm_medium=print",
            "blog",
            "print",
            Channel::Unassigned,
            false,
        ),
        ("utm_source=site&utm_medium=push", "site", "push", Channel::Push, false),
        (
            "utm_source=site&utm_medium=partner",
            "site",
            "affiliate",
            Channel::Affiliate,
            false,
        ),
        (
            "utm_source=google&utm_medium=CPC",
            "google",
            "cpc",
            Channel::PaidSearch,
            false,
        ),
    ]);
}

#[test]
fn spellings_of_a_source_are_one_and_the_raw_value_stays() {
    for raw in ["LinkedIn", "linkedin", "LINKEDIN.com", "li", "www.linkedin.com"] {
        let found = resolve(
            &Touch {
                utm_source: Some(raw.into()),
                ..Touch::default()
            },
            &OWN,
            &Aliases::default(),
        );
        assert_eq!(found.utm_source.as_deref(), Some("linkedin"), "{raw}");
        assert_eq!(
            found.raw.get("utm_source").map(String::as_str),
            (raw != "linkedin").then_some(raw)
        );
    }
}

#[test]
fn a_campaign_with_a_pipe_or_a_quote_is_one_value() {
    let found = resolve(
        &Touch {
            utm_source: Some("x".into()),
            utm_campaign: Some("A|B 'or' 1=1".into()),
            ..Touch::default()
        },
        &OWN,
        &Aliases::default(),
    );
    assert_eq!(found.utm_campaign.as_deref(), Some("a|b 'or' 1=1"));
    assert_eq!(found.raw["utm_campaign"], "A|B 'or' 1=1");
}

#[test]
fn a_sites_own_aliases_come_before_the_built_in_ones() {
    let aliases = Aliases {
        source: [
            ("fb".to_owned(), "Facebook UA".to_owned()),
            ("anna".to_owned(), "instagram".to_owned()),
        ]
        .into(),
        medium: [("tgt".to_owned(), "paid_social".to_owned())].into(),
    };
    let found = resolve(&touch("utm_source=FB&utm_medium=TGT"), &OWN, &aliases);
    assert_eq!(
        (found.utm_source.as_deref(), found.channel),
        (Some("facebook ua"), Channel::PaidSocial)
    );
    let found = resolve(&touch("utm_source=Anna&utm_medium=stories"), &OWN, &aliases);
    assert_eq!(
        (found.utm_source.as_deref(), found.channel),
        (Some("instagram"), Channel::OrganicSocial)
    );
}

#[test]
fn ai_assistants_are_found_by_tag_and_by_referrer_and_open_no_campaign() {
    check(&[
        ("utm_source=chatgpt.com", "chatgpt", "ai", Channel::AiAssistant, true),
        ("utm_source=perplexity", "perplexity", "ai", Channel::AiAssistant, true),
        ("utm_source=copilot.com", "copilot", "ai", Channel::AiAssistant, true),
        (
            "utm_source=openai&utm_medium=referral",
            "chatgpt",
            "referral",
            Channel::AiAssistant,
            false,
        ),
        ("|chatgpt.com/", "chatgpt", "ai", Channel::AiAssistant, true),
        ("|gemini.google.com/app", "gemini", "ai", Channel::AiAssistant, true),
        ("utm_campaign=qwant-ai", "qwant_ai", "ai", Channel::AiAssistant, true),
    ]);
    let found = resolve(&touch("utm_campaign=qwant-ai"), &OWN, &Aliases::default());
    assert_eq!(found.utm_campaign, None);
    assert_eq!(found.raw["utm_campaign"], "qwant-ai");
    let found = resolve(
        &touch("utm_source=chatgpt.com&utm_campaign=ChatGPT"),
        &OWN,
        &Aliases::default(),
    );
    assert_eq!(
        (found.utm_campaign.as_deref(), found.raw["utm_campaign"].as_str()),
        (None, "ChatGPT")
    );
}

#[test]
fn every_utm_parameter_counts() {
    for name in shared::attribution::UTM_NAMES {
        let touch = touch(&format!("{name}=Значення"));
        assert!(!is_direct(&touch), "{name}");
        let found = resolve(&touch, &OWN, &Aliases::default());
        assert!(found.values().contains(&Some("значення")), "{name}");
        assert_eq!(found.raw[name], "Значення");
        assert_ne!(found.channel, Channel::Direct, "{name}");
    }
}

#[test]
fn own_hosts_and_gateways_never_become_a_source() {
    for host in [
        "shop.ua",
        "www.shop.ua",
        "checkout.shop.ua",
        "liqpay.ua",
        "secure.wayforpay.com",
        "acs.bank.example",
        "accounts.google.com",
    ] {
        let found = resolve(&touch(&format!("|{host}/x")), &OWN, &Aliases::default());
        assert_eq!(
            (
                found.channel,
                found.utm_source,
                found.referrer_host,
                found.referrer_path
            ),
            (Channel::Direct, None, None, None),
            "{host}"
        );
    }
    check(&[("|notshop.ua/", "notshop.ua", "referral", Channel::Referral, true)]);
}

#[test]
fn referrers_are_inferred_by_the_table_and_else_by_their_host() {
    check(&[
        (
            "|google.com.ua/search",
            "google",
            "organic",
            Channel::OrganicSearch,
            true,
        ),
        ("|m.youtube.com/watch", "youtube", "video", Channel::OrganicVideo, true),
        ("|hotline.ua/sr", "hotline", "referral", Channel::OrganicShopping, true),
        ("|t.me/", "telegram", "social", Channel::OrganicSocial, true),
        ("|mail.ukr.net/", "ukrnet_mail", "email", Channel::Email, true),
        (
            "|Blog.Example:8080/post",
            "blog.example",
            "referral",
            Channel::Referral,
            true,
        ),
        (
            "utm_campaign=spring|google.com/",
            "google",
            "organic",
            Channel::OrganicSearch,
            true,
        ),
        ("", "", "", Channel::Direct, false),
    ]);
}

#[test]
fn a_missing_medium_is_inferred_only_where_it_follows() {
    check(&[
        (
            "utm_source=fb_ads",
            "facebook",
            "paid_social",
            Channel::PaidSocial,
            true,
        ),
        ("utm_source=adwords", "google", "cpc", Channel::PaidSearch, true),
        (
            "utm_source=facebook|l.facebook.com/",
            "facebook",
            "",
            Channel::OrganicSocial,
            false,
        ),
        (
            "utm_source=blogger|l.facebook.com/",
            "blogger",
            "",
            Channel::Unassigned,
            false,
        ),
        (
            "utm_source=facebook&gclid=x",
            "facebook",
            "",
            Channel::PaidSocial,
            false,
        ),
    ]);
}

#[test]
fn the_leading_click_id_names_the_platform_and_all_are_kept() {
    let touch = touch("gclid=a&fbclid=b&gclsrc=aw.ds");
    assert_eq!(
        resolve(&touch, &OWN, &Aliases::default()).click_platform,
        Some("google_ads")
    );
    assert_eq!(touch.click_ids.len(), 3);
}

#[test]
fn the_mark_tells_touches_apart_and_is_the_same_everywhere() {
    assert_eq!(fingerprint(&Touch::default()), 0);
    // Fixed: cookies in browsers carry it.
    assert_eq!(fingerprint(&touch("gclid=x")), 0x19a8_028f_997b_6cfc_u64);
    let same = [
        ("gclid=x", "gclid=x&utm_source=a"),
        ("utm_source=a", "utm_source=a|google.com/"),
        ("|google.com/a", "|google.com/b"),
    ];
    for (a, b) in same {
        assert_eq!(fingerprint(&touch(a)), fingerprint(&touch(b)), "{a} {b}");
    }
    let other = [
        ("gclid=x", "gclid=X"),
        ("gclid=x", "wbraid=x"),
        ("utm_source=ab&utm_medium=c", "utm_source=a&utm_medium=bc"),
        ("|a.ua/", "|b.ua/"),
    ];
    for (a, b) in other {
        assert_ne!(fingerprint(&touch(a)), fingerprint(&touch(b)), "{a} {b}");
    }
    // What many clicks share does not make a click.
    assert_eq!(mark(&touch("gad_source=1&mc_cid=x")).click, 0);
}

#[test]
fn a_referrer_that_is_spelled_as_a_source_is_that_source() {
    for (host, source, medium) in [
        ("x", "twitter", "social"),
        ("fb", "facebook", "social"),
        ("adwords", "google", "cpc"),
        ("intranet", "intranet", "referral"),
    ] {
        let found = resolve(&touch(&format!("|{host}/")), &OWN, &Aliases::default());
        assert_eq!(
            (found.utm_source.as_deref(), found.utm_medium.as_deref()),
            (Some(source), Some(medium)),
            "{host}"
        );
    }
}

proptest! {
    #[test]
    fn any_touch_resolves_and_resolving_the_result_changes_nothing(
        source in proptest::option::of("[a-zA-Z._ -]{0,12}|\\PC{0,12}"),
        medium in proptest::option::of("[a-z_-]{0,12}|\\PC{0,12}"),
        campaign in proptest::option::of("\\PC{0,20}"),
        referrer in proptest::option::of("[a-z.]{0,20}|\\PC{0,20}"),
        click in proptest::sample::select(vec!["gclid", "fbclid", "mc_cid", "hsa_net", "wickedid", "x"]),
    ) {
        let touch = Touch { utm_source: source, utm_medium: medium, utm_campaign: campaign, referrer_host: referrer,
            click_ids: [(click.to_owned(), "adwords".to_owned())].into(), ..Touch::default() };
        let once = resolve(&touch, &OWN, &Aliases::default());
        let again = resolve(&Touch {
            utm_source: once.utm_source.clone(), utm_medium: once.utm_medium.clone(), utm_campaign: once.utm_campaign.clone(),
            referrer_host: once.referrer_host.clone(), click_ids: touch.click_ids.clone(), ..Touch::default()
        }, &OWN, &Aliases::default());
        if once.utm_medium.is_some() && once.utm_source.is_some() {
            prop_assert_eq!(&once.utm_source, &again.utm_source);
            prop_assert_eq!(&once.utm_medium, &again.utm_medium);
            prop_assert_eq!(once.channel, again.channel);
        }
        for (name, raw) in &once.raw {
            prop_assert!(shared::attribution::UTM_NAMES.contains(&name.as_str()));
            prop_assert!(!raw.is_empty() || once.utm_source.is_none() || name != "utm_source" || once.inferred);
        }
    }
}
