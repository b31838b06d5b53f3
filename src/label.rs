//! Closed sets of values, as the labels of metrics have them.

use strum::VariantArray;

/// An enum whose variants are the values of a label: strum's derives give their names.
pub(crate) trait Label: Copy + VariantArray + Into<&'static str> {
    /// Every value, in the order of the declaration.
    const ALL: &'static [Self] = Self::VARIANTS;

    /// The value as the label has it.
    fn label(self) -> &'static str {
        self.into()
    }
}

impl<T: Copy + VariantArray + Into<&'static str>> Label for T {}
