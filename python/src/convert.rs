//! JSON as Python's own types, scopes and claims out of arguments.

use async_msal::{ClaimsChallenge, Scopes};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PySet, PyString, PyTuple};
use pyo3::{Bound, IntoPyObjectExt as _};
use serde_json::{Map, Value};

use crate::error::wrong_type;

pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_bound_py_any(py),
            (None, Some(number)) => number.into_bound_py_any(py),
            (None, None) => number.as_f64().into_bound_py_any(py),
        },
        Value::String(text) => text.into_bound_py_any(py),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(members) => Ok(object_to_python(py, members)?.into_any()),
    }
}

pub(crate) fn object_to_python<'py>(
    py: Python<'py>,
    members: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, member) in members {
        dict.set_item(name, to_python(py, member)?)?;
    }
    Ok(dict)
}

/// A list, a tuple or a set of strings; one string would fall apart into letters.
pub(crate) fn scopes(argument: &Bound<'_, PyAny>) -> PyResult<Scopes> {
    let refuse = || wrong_type("scopes", "a list of strings", argument);
    let is_collection = argument.is_instance_of::<PyList>()
        || argument.is_instance_of::<PyTuple>()
        || argument.is_instance_of::<PySet>()
        || argument.is_instance_of::<PyFrozenSet>();
    if !is_collection {
        return Err(refuse());
    }
    let mut texts = Vec::new();
    for scope in argument.try_iter()? {
        let scope = scope?;
        let scope =
            scope.cast::<PyString>().map_err(|_| wrong_type("scopes", "a list of strings", &scope))?;
        texts.push(scope.to_cow()?.into_owned());
    }
    Ok(texts.into_iter().collect())
}

/// The JSON text of claims; nothing for an empty one, as in MSAL.
pub(crate) fn claims(name: &str, text: Option<&str>) -> PyResult<Option<ClaimsChallenge>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = ClaimsChallenge::parse(text);
    parsed
        .map(Some)
        .map_err(|_| PyValueError::new_err(format!("{name}: the text of a JSON object is wanted")))
}
