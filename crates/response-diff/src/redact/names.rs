//! Names that give away that what they name is secret.

/// A name with one of these words in it, `_`, `-` or a capital between words, names a secret.
const WORDS: [&str; 15] = [
    "apikey",
    "authorization",
    "credential",
    "credentials",
    "cvc",
    "cvv",
    "iban",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "signature",
    "ssn",
    "token",
];

/// So does one that is, or ends with, one of these when separators and capitals are left out.
const ENDINGS: [&str; 24] = [
    "accesskey",
    "accesstoken",
    "apikey",
    "apitoken",
    "aspsessionid",
    "authkey",
    "authtoken",
    "cardnumber",
    "clientsecret",
    "creditcard",
    "csrf",
    "csrftoken",
    "jsessionid",
    "password",
    "phpsessid",
    "privatekey",
    "pwd",
    "refreshtoken",
    "secretkey",
    "sessionid",
    "sessionkey",
    "sid",
    "subscriptionkey",
    "xsrf",
];

/// So does one that is one of these, and no more.
const WHOLE: [&str; 15] = [
    "auth",
    "bearer",
    "card",
    "cookie",
    "cookies",
    "cvv2",
    "otp",
    "pan",
    "passcode",
    "pin",
    "session",
    "setcookie",
    "sig",
    "socialsecuritynumber",
    "tokens",
];

/// Whether what is called this, a member of JSON, a field of a form, a parameter or a header, is secret by default.
pub(super) fn is_secret(name: &str) -> bool {
    // Longer ones are not what people call things, and no secret's is shorter.
    if !(3..=256).contains(&name.len()) {
        return false;
    }
    let squeezed: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WHOLE.contains(&squeezed.as_str())
        || ENDINGS.iter().any(|ending| squeezed == *ending || ends_with_word(name, &squeezed, ending))
        || words(name).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether a number under this name may be how many there are.
pub(super) fn is_of_many(name: &str) -> bool {
    name.eq_ignore_ascii_case("tokens")
}

/// `sid` is an ending of `connect.sid`, not of `inside`.
fn ends_with_word(name: &str, squeezed: &str, ending: &str) -> bool {
    if !squeezed.ends_with(ending) {
        return false;
    }
    let mut joined = String::new();
    for word in words(name).iter().rev() {
        joined.insert_str(0, word);
        if joined.len() >= ending.len() {
            return joined == ending;
        }
    }
    false
}

/// `userAPIKey_v2` is user, api, key, v2.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(at + 1);
        let begins = letter.is_ascii_uppercase()
            && (before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit())
                || before.is_some_and(char::is_ascii_uppercase)
                    && after.is_some_and(char::is_ascii_lowercase));
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        let secret = "password Password userPassword new_password PASSWORD_HASH passwd db.passwd pwd secret \
        client_secret clientSecret secretKey token access_token refreshToken idToken next_page_token \
        csrf csrf_token X-CSRF-Token x-xsrf api_key apiKey APIKey x-api-key apikey X-Goog-Api-Key \
        Ocp-Apim-Subscription-Key private_key accessKey authorization Proxy-Authorization credentials card \
        card_number cardNumber creditCard cvv cvc pan iban ssn pin otp session sessionId session_id \
        connect.sid jwt auth Set-Cookie accesstoken x-authtoken refreshtoken csrftoken jsessionid PHPSESSID \
        X-Amz-Signature sig";
        let open = "id name inside sidecar secretary cards card_type business_card discard pinned opinion spin \
        author authors company span tokenizer keyboard key primary_key public_key passage compass \
        session_count price ключ";
        for name in secret.split_whitespace() {
            assert!(is_secret(name), "{name}");
        }
        for name in open.split_whitespace().chain(["", &"password".repeat(40)]) {
            assert!(!is_secret(name), "{name}");
        }
    }
}
