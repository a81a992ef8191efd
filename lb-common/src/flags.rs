//! Sets of flags in one number, as keys and values of maps have them.

/// What every set of flags can do; `$set` is a tuple struct of one unsigned number.
macro_rules! set_of_flags {
    ($set:ty) => {
        impl $set {
            /// Both.
            #[must_use]
            #[inline(always)]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Both where `condition` holds, else as it was.
            #[must_use]
            #[inline(always)]
            pub const fn with_if(self, condition: bool, other: Self) -> Self {
                if condition { self.with(other) } else { self }
            }

            /// Whether all of `other` is set.
            #[inline(always)]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }
    };
}

/// The same where no flag is a set too.
macro_rules! set_of_flags_or_none {
    ($set:ty) => {
        set_of_flags!($set);

        impl $set {
            /// No flag.
            #[inline(always)]
            pub const fn empty() -> Self {
                Self(0)
            }
        }
    };
}
