//! The door on real sockets, in front of a real HTTP origin.

mod faults;
mod house;
mod hygiene;
mod limits;
mod origin;
mod playback;
mod ranges;
mod stand_in;
