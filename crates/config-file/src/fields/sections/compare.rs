//! By what rules the answers of the two arms are compared.

use super::{DAY_MS, HEADER_NAME, KIB, MIB, PATH, PLACE};
use crate::fields::{Field, Format, Kind, Section, defaulted, optional, required, text};

pub(super) static COMPARE: Section = Section {
    header: "[migration.NAME.compare]",
    doc: "By what rules the answers of the two arms are compared. Default: all of an answer counts, but for header fields \
          such as `date`.",
    fields: &[
        defaulted(
            "status",
            STATUS,
            "\"exact\"",
            "Whether statuses must be the same, or only their first digits.",
        ),
        STATUS_PAIRS,
        HEADERS,
        defaulted(
            "capture_limit",
            Kind::Size { min: KIB, max: 64 * MIB },
            "\"256KiB\"",
            "How much of a body is kept to be compared. Of what is longer, length and hash are.",
        ),
        defaulted(
            "decoded_limit",
            Kind::Size { min: KIB, max: 256 * MIB },
            "\"4MiB\"",
            "To how much a compressed body may decode. What decodes to more is not compared.",
        ),
        NUMBERS_FIELD,
        defaulted(
            "null_is_absent",
            Kind::Flag,
            "false",
            "Whether a member of an object that is `null` is the same as none.",
        ),
        RULES_FIELD,
        MAP_FIELD,
        defaulted(
            "endpoint",
            Kind::Tables { of: &COMPARE_ENDPOINT, min: 0 },
            "[]",
            "Rules for the answers of some endpoints, in addition.",
        ),
    ],
    later: &[],
};

pub(super) static COMPARE_ENDPOINT: Section = Section {
    header: "[[migration.NAME.compare.endpoint]]",
    doc: "Rules for the answers of one endpoint. Its lists come before those for all answers, what else it says takes the \
          place of what holds for all.",
    fields: &[
        required(
            "path",
            PATH,
            "The path, `/orders/{id}` or `/files/*`. Of several, the most specific counts.",
        ),
        optional("status", STATUS, "Whether statuses must be the same, or only their first digits."),
        STATUS_PAIRS,
        HEADERS,
        NUMBERS_FIELD,
        optional(
            "null_is_absent",
            Kind::Flag,
            "Whether a member of an object that is `null` is the same as none.",
        ),
        RULES_FIELD,
        MAP_FIELD,
        defaulted(
            "ignore",
            Kind::List { of: &PLACE, min: 0 },
            "[]",
            "What may differ there, beside what may differ anywhere: JSONPaths, and headers such as \"header:date\".",
        ),
    ],
    later: &[],
};

pub(super) static NUMBERS: Section = Section {
    header: "[migration.NAME.compare.numbers]",
    doc: "Which numbers are the same.",
    fields: &[
        optional("form", FORM, FORM_DOC),
        optional("absolute", DECIMAL, "How far apart two numbers may be."),
        optional("relative", DECIMAL, RELATIVE_DOC),
    ],
    later: &[],
};

pub(super) static RULE: Section = Section {
    header: "[[migration.NAME.compare.rules]]",
    doc: "How the values in certain places are compared. For each option, the first rule counts that fits the place and \
          has it.",
    fields: &[
        required(
            "path",
            RULE_PLACE,
            "The places: a JSONPath, \"header:NAME\", \"trailer:NAME\", or \"body\" for bodies of text.",
        ),
        optional(
            "order",
            Kind::Choice { names: &["exact", "ignore"], later: &[] },
            "Of arrays: whether another order of the same elements is a difference.",
        ),
        optional(
            "by",
            Kind::OneOrMore(&FIELD_NAME),
            "Of arrays: the fields, such as \"id\", by which elements are known, wherever they stand.",
        ),
        optional("form", FORM, FORM_DOC),
        optional("absolute", DECIMAL, "How far apart two numbers may be."),
        optional("relative", DECIMAL, RELATIVE_DOC),
        optional(
            "null",
            Kind::Choice { names: &["distinct", "absent"], later: &[] },
            "Of members: whether `null` is the same as none.",
        ),
        optional(
            "within",
            Kind::Duration { min_ms: 0, max_ms: 3_650 * DAY_MS },
            "How far apart two times may be, in RFC 3339, HTTP's form, or seconds or milliseconds since 1970.",
        ),
        optional(
            "case",
            Kind::Choice { names: &["exact", "ignore"], later: &[] },
            "Of texts: whether `A` is the same as `a`.",
        ),
        optional(
            "whitespace",
            Kind::Choice { names: &["exact", "collapse", "ignore"], later: &[] },
            "Of texts: whether white space counts, counts as one space, or does not.",
        ),
        optional(
            "mask",
            Kind::OneOrMore(&MASK),
            "Of texts: what matches one of these regular expressions counts as the same.",
        ),
    ],
    later: &[],
};

pub(super) static MAP: Section = Section {
    header: "[[migration.NAME.compare.map]]",
    doc: "One intended change from the form of `old` to that of `new`. They are applied in their order to what `old` \
          answers, before it is compared.",
    fields: &[
        optional("from", MAP_PATH, "Where a member is in the form of `old`; with `to`."),
        optional("to", MAP_PATH, "Where that member is in the form of `new`."),
        optional("wrap", MAP_PATH, "All of `old` is what `new` has here, such as \"$.data\"."),
        optional(
            "unwrap",
            MAP_PATH,
            "All of `new` is what `old` has here; what is beside it and not dropped is missing in `new`.",
        ),
        optional("drop", MAP_PATH, "What `new` does not have any more."),
        optional(
            "names",
            Kind::Choice {
                names: &[
                    "snake-to-camel",
                    "camel-to-snake",
                    "snake-to-pascal",
                    "pascal-to-snake",
                    "camel-to-pascal",
                    "pascal-to-camel",
                    "snake-to-kebab",
                    "kebab-to-snake",
                ],
                later: &[],
            },
            "How all names change.",
        ),
        optional(
            "values",
            Kind::Texts(Format { expected: "some text", pattern: "" }),
            "Texts of `old` with those that `new` has for them.",
        ),
        optional(
            "convert",
            Kind::Choice { names: &["number-to-string", "string-to-number"], later: &[] },
            "What becomes of another type.",
        ),
        optional(
            "at",
            MAP_PATH,
            "Where, for `wrap`, `unwrap`, `names`, `values` and `convert`. Default: everywhere, \"$\".",
        ),
    ],
    later: &[],
};

const STATUS: Kind = Kind::Choice { names: &["exact", "class"], later: &[] };
const FORM: Kind = Kind::Choice { names: &["exact", "loose"], later: &[] };
const FORM_DOC: &str =
    "Whether `1` and `1.0` differ. Default: they do (exact), unless a tolerance is given (loose).";
const RELATIVE_DOC: &str =
    "How far apart two numbers may be, as a share of the greater one: \"0.1%\" or 0.001.";
const DECIMAL: Kind = Kind::Decimal(Format {
    expected: "a number such as 0.01, or a share such as \"1%\"",
    pattern: r"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?%?$",
});
const MAP_PATH: Kind = text("a JSONPath such as \"$.user.name\"", r"^\$");
const RULE_PLACE: Kind = text(
    "a JSONPath such as \"$.price\", a header such as \"header:location\", or \"body\"",
    r"^(\$.*|(header|trailer):.+|body)$",
);
static FIELD_NAME: Kind = text("the name of a field, such as \"id\"", r"^.");
static MASK: Kind = text("a regular expression", r"^[\s\S]");
static STATUS_PAIR: Kind = Kind::List { of: &Kind::Count { min: 100, max: 599 }, min: 1 };

const STATUS_PAIRS: Field = defaulted(
    "status_pairs",
    Kind::List { of: &STATUS_PAIR, min: 0 },
    "[]",
    "Pairs of statuses, that of `old` and that of `new`, that are the same: `[[201, 200]]`.",
);
const HEADERS: Field = optional(
    "headers",
    Kind::List { of: &HEADER_NAME, min: 0 },
    "The header fields that are compared; `*` stands for any characters, \"*\" for all that are by default. Default: all \
     but those that say nothing of the answer, such as `date`.",
);
const NUMBERS_FIELD: Field = defaulted("numbers", Kind::Table(&NUMBERS), "{}", "Which numbers are the same.");
const RULES_FIELD: Field = defaulted(
    "rules",
    Kind::Tables { of: &RULE, min: 0 },
    "[]",
    "How the values in certain places are compared.",
);
const MAP_FIELD: Field = defaulted(
    "map",
    Kind::Tables { of: &MAP, min: 0 },
    "[]",
    "Intended changes of the answers' form, so that old's can be compared with new's.",
);
