//! Currencies by their codes. Three letters are not enough: an amount in a currency that does not exist waits for a rate that nobody
//! will ever store.

/// What a field that holds a code allows; it follows the field's name.
pub const ALLOWED: &str = "must be a currency code of ISO 4217, three capital letters such as UAH";

/// The codes in use, as ISO 4217 listed them on 1 January 2026, but those for tests (XTS) and for no currency (XXX).
const CURRENT: &str = "
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
    CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP
    GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
    MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
    USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD
    XPF XPT XSU XUA YER ZAR ZMW ZWG
";

/// Those that were withdrawn since 2000, where the history that an import may bring along begins.
const FORMER: &str = "
    ADP AFA ANG AON ATS AZM BEF BGL BGN BYB BYR CHC CSD CUC CYP DEM ECS EEK ESP FIM FRF GHC GHP GRD
    HRK IEP ITL LTL LUF LVL MGF MRO MTL MZM NLG PTE ROL RUR SDD SIT SKK SLL SRG STD TJR TMM TPE TRL
    USS VEB VEF YUM ZMK ZWD ZWL ZWN ZWR
";

/// The code that a sender wrote, in capital letters and without spaces around it; `None` when no currency has it.
pub fn read(text: &str) -> Option<String> {
    let code = text.trim().to_ascii_uppercase();
    is_known(&code).then_some(code)
}

/// Whether `code` is that of a currency that is or was in use; capital letters only.
pub fn is_known(code: &str) -> bool {
    [CURRENT, FORMER]
        .into_iter()
        .flat_map(str::split_ascii_whitespace)
        .any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_currency_that_is_or_was_in_use_is_known_and_another_is_not() {
        for code in [
            "UAH", "EUR", "USD", "PLN", "JPY", "XOF", "HRK", "BGN", "LTL", "BYR", "TRL", "DEM", "RUR",
        ] {
            assert!(is_known(code), "{code}");
        }
        for code in [
            "XXZ", "XXX", "XTS", "uah", "Uah", "", "U", "UA", "UAHX", "AED AFN", " UAH", "ГРН", "BTC",
        ] {
            assert!(!is_known(code), "{code}");
        }
    }

    #[test]
    fn lower_case_is_taken_for_upper() {
        for text in ["UAH", "uah", " Uah\n"] {
            assert_eq!(read(text).as_deref(), Some("UAH"), "{text}");
        }
        for text in ["", "xxz", "u a h", "ыah"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn every_code_is_three_capital_letters_and_stands_once() {
        let codes: Vec<&str> = [CURRENT, FORMER]
            .into_iter()
            .flat_map(str::split_ascii_whitespace)
            .collect();
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()))
        );
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    }
}
