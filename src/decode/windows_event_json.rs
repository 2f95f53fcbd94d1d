//! `windows-event-json`: Windows event XML turned into JSON with its nesting, as `evtx_dump` and its like write it.
//!
//! Owns where the names of the flat form are: those of `Event.System` by a list, all others in `Event.EventData` and
//! `Event.UserData`. Attributes may be written as `Provider.#attributes.Name`, `Provider_attributes.Name` or
//! `Provider.@Name`.

use super::{Format, Place, Places, TimeField};

/// The format.
pub struct WindowsEventJson;

impl Format for WindowsEventJson {
    fn name(&self) -> &'static str {
        "windows-event-json"
    }

    fn description(&self) -> &'static str {
        "nested Windows event JSON: `Event.System` and `Event.EventData`, as evtx_dump writes them"
    }

    fn time_fields(&self) -> &'static [TimeField] {
        &[
            // Sysmon's own time, always UTC, as is the system's.
            TimeField { path: "UtcTime", utc: true },
            TimeField { path: "TimeCreated", utc: true },
            TimeField { path: "@timestamp", utc: true },
        ]
    }

    fn mark(&self) -> &'static str {
        "Event.System.EventID"
    }

    fn places(&self) -> Option<Places> {
        Some(places)
    }
}

/// Names of the flat form → elements and attributes of `Event.System`.
const ATTRIBUTES: &[(&str, &str, &str)] = &[
    ("SourceName", "Provider", "Name"),
    ("Provider_Name", "Provider", "Name"),
    ("ProviderGuid", "Provider", "Guid"),
    ("TimeCreated", "TimeCreated", "SystemTime"),
    ("ExecutionProcessID", "Execution", "ProcessID"),
    ("ExecutionThreadID", "Execution", "ThreadID"),
    ("UserID", "Security", "UserID"),
    ("ActivityID", "Correlation", "ActivityID"),
];

fn places(field: &str) -> Vec<Place> {
    // A path names its place itself.
    if field.contains('.') || field.starts_with('$') {
        return vec![Place::at(field)];
    }
    let attribute = ATTRIBUTES.iter().find(|(name, ..)| *name == field);
    if let Some((_, element, attribute)) = attribute {
        return vec![
            Place::At(format!("Event.System.{element}.#attributes.{attribute}")),
            Place::At(format!("Event.System.{element}_attributes.{attribute}")),
            Place::At(format!("Event.System.{element}.@{attribute}")),
        ];
    }
    match field {
        "EventID" => vec![Place::at("Event.System.EventID.#text"), Place::at("Event.System.EventID")],
        "Channel" | "Level" => vec![Place::At(format!("Event.System.{field}"))],
        "Computer" | "Hostname" => vec![Place::at("Event.System.Computer")],
        "Data" => vec![Place::AllNameless("Event.EventData.Data".into()), Place::at("Data")],
        "Message" => {
            let mut places = vec![Place::at("Event.RenderingInfo.Message")];
            places.extend(data(field));
            places.push(Place::at("message"));
            places
        }
        _ => data(field),
    }
}

/// A field of the event's own data; of the system's, or beside the event, when the data has none of that name.
fn data(field: &str) -> Vec<Place> {
    let list = || "Event.EventData.Data".to_owned();
    let mut places = vec![
        Place::At(format!("Event.EventData.{field}")),
        Place::Named(list(), field.to_owned()),
        Place::Below("Event.UserData".to_owned(), field.to_owned()),
    ];
    // Values without a name are counted, as Windows counts them in its messages.
    let number = field.strip_prefix("param").and_then(|number| number.parse::<usize>().ok());
    if let Some(index) = number.and_then(|number| number.checked_sub(1)) {
        places.push(Place::Nameless(list(), index));
    }
    places.push(Place::At(format!("Event.System.{field}")));
    places.push(Place::at(field));
    places
}

#[cfg(test)]
mod tests {
    use super::super::{DecodeLimits, FieldSet};
    use super::*;
    use crate::decode::Value;

    #[test]
    fn fields_are_found_in_each_of_the_forms() {
        for (event, field, expect) in [
            (r#"{"System":{"EventID":7}}"#, "EventID", "7"),
            (r##"{"System":{"EventID":{"#attributes":{"Qualifiers":0},"#text":7036}}}"##, "EventID", "7036"),
            (r##"{"System":{"EventID":{"@Qualifiers":"0","#text":"7036"}}}"##, "EventID", "7036"),
            (r##"{"System":{"Provider":{"#attributes":{"Name":"P"}}}}"##, "Provider_Name", "P"),
            (r#"{"System":{"Provider":{"@Name":"P"}}}"#, "SourceName", "P"),
            (r#"{"System":{"Provider":null,"Provider_attributes":{"Name":"P"}}}"#, "SourceName", "P"),
            (r#"{"System":{"Computer":"c"},"EventData":{"Computer":"d","Hostname":"h"}}"#, "Hostname", "c"),
            (r#"{"System":{"Channel":"System"},"UserData":{"X":{"Channel":"y"}}}"#, "Channel", "System"),
            (r#"{"System":{"Task":1},"EventData":{"Task":2}}"#, "Task", "2"),
            (r#"{"System":{"Task":1},"EventData":null}"#, "Task", "1"),
            (r#"{"EventData":{"Image":"a"}}"#, "Image", "a"),
            (r#"{"EventData":{"Image":null}}"#, "Image", "null"),
            (
                r##"{"EventData":{"Data":[{"#attributes":{"Name":"A"},"#text":"x"},{"@Name":"B","#text":2}]}}"##,
                "A",
                "x",
            ),
            (
                r##"{"EventData":{"Data":[{"#attributes":{"Name":"A"},"#text":"x"},{"@Name":"B","#text":2}]}}"##,
                "B",
                "2",
            ),
            (r##"{"EventData":{"Data":{"@Name":"A","#text":"x"}}}"##, "A", "x"),
            (r#"{"EventData":{"Data":{"@Name":"A"}}}"#, "A", "null"),
            (r##"{"EventData":{"Data":{"@Name":"A","#text":"x"}}}"##, "Data", "-"),
            (r##"{"EventData":{"Data":{"@Name":"A","#text":"x"}}}"##, "param1", "-"),
            (r#"{"EventData":{"Data":["x","C:\\a",3]}}"#, "Data", "x\nC:\\a\n3"),
            (r##"{"EventData":{"Data":{"#text":["x","y"]}}}"##, "Data", "x\ny"),
            (r##"{"EventData":{"Data":{"#text":["x","y"]}}}"##, "param2", "y"),
            (r#"{"EventData":{"Data":["x",null,"z"]}}"#, "param3", "z"),
            (r#"{"EventData":{"Data":"x"}}"#, "Data", "x"),
            (r#"{"EventData":{"Data":"x"}}"#, "param1", "x"),
            (r#"{"EventData":{"param1":"a","Data":"x"}}"#, "param1", "a"),
            (r#"{"UserData":{"LogFileCleared":{"SubjectUserName":"o"}}}"#, "SubjectUserName", "o"),
            (r#"{"UserData":{"E":{"A":1}},"UserData":{"F":{"B":1}}}"#, "A", "-"),
            (r#"{"EventData":{"Data":["x"]},"EventData":{"B":1}}"#, "Data", "-"),
            (r#"{"RenderingInfo":{"Message":"m"}}"#, "Message", "m"),
            (r#"{"EventData":{"A":{"B":[1,"\u00e9"]}}}"#, "A", "{\"B\":[1,\"é\"]}"),
            (r#"{"EventData":{"A":1}}"#, "Event.EventData.A", "1"),
            (r#"{"EventData":{"A":1}}"#, "EventData.A", "-"),
        ] {
            assert_eq!(found(&format!(r#"{{"Event":{event}}}"#), field), expect, "{field} of {event}");
        }
        assert_eq!(found(r#"{"EventID":1}"#, "EventID"), "-");
        assert_eq!(found(r#"{"Event":{},"Image":"beside"}"#, "Image"), "beside");
    }

    fn found(record: &str, field: &str) -> String {
        let mut fields = FieldSet::of(&WindowsEventJson);
        // A neighbour, so that slots and spots are not the same numbers.
        fields.add("Hashes");
        let slot = fields.add(field);
        let mut decoder = WindowsEventJson.decoder(&fields, DecodeLimits::default());
        let mut shown = String::new();
        let decoded = decoder.decode(record.as_bytes(), &mut |slots| {
            shown = match slots[slot].clone().plain() {
                Value::Missing => "-".to_owned(),
                Value::Null => "null".to_owned(),
                Value::Text(text) => text.to_string(),
                Value::Int(number) => number.to_string(),
                other => format!("{other:?}"),
            };
        });
        assert_eq!(decoded, Ok(1), "{record}");
        shown
    }
}
