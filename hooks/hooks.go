// Package hooks is the interface of hook libraries. A library is a package
// under hooks/<name> that registers callouts on Kea's hook points and commands
// on the control channel; hooks.cfg lists the bundled ones in order and
// generates hooks/all.
//
// A library is loaded by a configuration and lives as long as it: it gets its
// parameters and an Env, registers what it wants in Load, and is closed when no
// worker uses the configuration any more. Callouts run on the workers, several
// at once, and must neither block nor allocate in the steady state; what waits
// returns Park and resumes the query later.
//
// The pipeline is compiled when the configuration is: a point without callouts
// costs one nil check.
//
// # Status of a point
//
// The callouts of a point run in the order of hooks-libraries, and within a
// library in the order of registration. All of them run, whatever an earlier one
// answered. As with Kea's callout handle, the status starts as Continue and
// whoever sets it last wins:
//
//   - a callout that returns Skip, Drop or Park sets the status, also over
//     another callout's Drop;
//   - a callout that returns Continue leaves the status as it is (a Kea callout
//     that does not call setStatus);
//   - a callout that wants to undo an earlier status calls SetStatus(Continue);
//   - a callout that panics sets Drop and is counted; those after it still run
//     and may override it, as after an exception in Kea.
//
// A callout that has nothing to do for a query already refused looks at
// Status() first.
//
// What the statuses mean depends on the point and is said at its constant.
//
// # Parking
//
// A callout that has to wait calls Query4.Park, keeps the reference it gets, and
// returns Park. The server copies the query off its frame and goes on when every
// reference has been resumed, drops it when one is dropped or when the deadline
// has passed. The Query4 belongs to the worker: a callout must not keep it. What
// it wants changed later it passes to Parked.Resume as a function, which the
// server runs on the worker with the query's new place.
package hooks
