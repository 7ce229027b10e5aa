//! A request from the text that JavaScript makes of it: method, URL and `request.cf` on a line each, then `name,value` for each
//! header, names in lower case. No line can hold a line break: the runtime refuses them in URLs and headers, and JSON escapes them.

use edge_core::hit::Hit;

/// Takes the text apart. Headers that no rule reads are skipped.
pub(crate) fn read(text: &str) -> Hit<'_> {
    let mut lines = text.split('\n');
    let mut hit = Hit {
        method: lines.next().unwrap_or_default(),
        url: lines.next().unwrap_or_default(),
        ..Hit::default()
    };
    hit.cf = lines.next().filter(|cf| !cf.is_empty());
    for (name, value) in lines.filter_map(|line| line.split_once(',')) {
        let field = match name {
            "host" => &mut hit.host,
            "accept" => &mut hit.accept,
            "user-agent" => &mut hit.user_agent,
            "referer" => &mut hit.referer,
            "cookie" => &mut hit.cookie,
            "accept-language" => &mut hit.accept_language,
            "sec-fetch-mode" => &mut hit.sec_fetch_mode,
            "sec-fetch-dest" => &mut hit.sec_fetch_dest,
            "sec-fetch-site" => &mut hit.sec_fetch_site,
            "sec-fetch-user" => &mut hit.sec_fetch_user,
            "sec-purpose" => &mut hit.sec_purpose,
            "purpose" => &mut hit.purpose,
            "x-moz" => &mut hit.x_moz,
            "sec-gpc" => &mut hit.sec_gpc,
            "dnt" => &mut hit.dnt,
            "x-requested-with" => &mut hit.x_requested_with,
            "sec-ch-ua" => &mut hit.sec_ch_ua,
            "sec-ch-ua-mobile" => &mut hit.sec_ch_ua_mobile,
            "sec-ch-ua-platform" => &mut hit.sec_ch_ua_platform,
            "sec-ch-ua-platform-version" => &mut hit.sec_ch_ua_platform_version,
            "sec-ch-ua-model" => &mut hit.sec_ch_ua_model,
            "origin" => &mut hit.origin,
            "content-type" => &mut hit.content_type,
            "cf-connecting-ip" => &mut hit.ip,
            _ => continue,
        };
        *field = Some(value);
    }
    hit
}

/// The 64 random bytes of a request. JavaScript hands over that many; should it ever hand over fewer, an error is better than
/// ids that repeat, so this panics and the request passes uncaptured.
#[expect(
    clippy::expect_used,
    reason = "a panic costs one capture, a repeated id mixes two visitors"
)]
pub(crate) fn random(bytes: &[u8]) -> [u8; 64] {
    bytes.try_into().expect("64 random bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_from_its_text() {
        let hit = read(
            "GET\nhttps://shop.ua/?a=1,2\n{\"country\":\"UA\"}\nuser-agent,Mozilla, like: Gecko\ncookie,a=b; c=d\nx-other,1\ncf-connecting-ip,::1",
        );
        assert_eq!(
            (hit.method, hit.url, hit.cf),
            ("GET", "https://shop.ua/?a=1,2", Some(r#"{"country":"UA"}"#))
        );
        assert_eq!(
            (hit.user_agent, hit.cookie, hit.ip),
            (Some("Mozilla, like: Gecko"), Some("a=b; c=d"), Some("::1"))
        );
        assert_eq!(hit.accept, None);
    }

    #[test]
    fn any_text_is_a_request_of_some_kind() {
        for text in ["", "\n\n\n\n", "GET", "GET\n/\n\nno comma\n,\n,,\ncookie,"] {
            read(text);
        }
    }
}
