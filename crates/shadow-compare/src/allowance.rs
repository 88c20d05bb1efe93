//! How many requests old is asked once more: at most one for each hundred that were copied.

pub(crate) use telemetry::AskedFor as Purpose;

/// Of each copied request, in thousandths of a request: for what learns noise, and for what tells races. At first nearly
/// every answer differs by noise, so learning it has the greater part; of mismatches, three in a thousand requests are far
/// more than there may be before users get new. What one of them cannot use is the other one's.
const NOISE_INCOME: u32 = 7;
const RACE_INCOME: u32 = 3;
/// One request.
const REQUEST: u32 = 1_000;
/// What is saved at most, so that a quiet night does not become a rush in the morning.
const MOST: u32 = 4 * REQUEST;

/// What old may be asked beyond its traffic.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    noise: u32,
    race: u32,
}

impl Allowance {
    /// One more copied request, whose other leg old has answered.
    pub(crate) fn earn(&mut self) {
        let spill = fill(&mut self.noise, NOISE_INCOME);
        let spill = fill(&mut self.race, RACE_INCOME + spill);
        fill(&mut self.noise, spill);
    }

    /// Whether one more may be asked for this.
    pub(crate) fn has(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Noise => self.noise >= REQUEST,
            Purpose::Race => self.race >= REQUEST,
        }
    }

    /// Takes one; `false`: there is none.
    pub(crate) fn take(&mut self, purpose: Purpose) -> bool {
        let has = self.has(purpose);
        if has {
            *match purpose {
                Purpose::Noise => &mut self.noise,
                Purpose::Race => &mut self.race,
            } -= REQUEST;
        }
        has
    }
}

/// Adds to a purse that has an end, and returns what did not fit.
fn fill(purse: &mut u32, income: u32) -> u32 {
    let all = *purse + income;
    *purse = all.min(MOST);
    all - *purse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_one_purpose_does_not_need_the_other_one_has() {
        let mut allowance = Allowance::default();
        let mut asked = 0;
        for _ in 0..100_000 {
            allowance.earn();
            asked += u32::from(allowance.take(Purpose::Noise));
        }
        assert!((990..=1_000).contains(&asked), "{asked}");
        for _ in 0..100_000 {
            allowance.earn();
            asked += u32::from(allowance.take(Purpose::Race));
        }
        assert!((1_980..=2_000).contains(&asked), "{asked}");
    }

    proptest! {
        #[test]
        fn never_more_than_one_in_a_hundred(wishes in prop::collection::vec((0_u32..300, any::<bool>(), 0_u32..8), 1..200)) {
            let mut allowance = Allowance::default();
            let (mut earned, mut asked) = (0_u32, 0_u32);
            for (pairs, is_noise, wanted) in wishes {
                (0..pairs).for_each(|_| allowance.earn());
                earned += pairs;
                let purpose = if is_noise { Purpose::Noise } else { Purpose::Race };
                asked += u32::try_from((0..wanted).filter(|_| allowance.take(purpose)).count()).unwrap();
                prop_assert!(asked * 100 <= earned, "asked {asked} of {earned}");
            }
        }
    }
}
