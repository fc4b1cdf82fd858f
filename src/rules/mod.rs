//! Rules as data, and the pure planner and decider. Knows no database and no clock.
