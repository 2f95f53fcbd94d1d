//! How the client puts records into batches.

use std::rc::Rc;

use crate::sink::Output;

/// As many in a batch as fit, and at least one.
pub(super) fn batches(outputs: Vec<Rc<Output>>, bytes_max: usize) -> Vec<Vec<Rc<Output>>> {
    let (mut all, mut bytes) = (Vec::<Vec<_>>::new(), 0);
    for output in outputs {
        let its = output.value.as_ref().map_or(0, Vec::len);
        bytes += its;
        match all.last_mut().filter(|_| bytes <= bytes_max) {
            Some(batch) => batch.push(output),
            None => (bytes, _) = (its, all.push(vec![output])),
        }
    }
    all
}
