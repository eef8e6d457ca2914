package engine

type queryState struct{}
type workerState struct{}

// ClassSet is the set of client classes of a query: bits by the index that the
// configuration gives each class name, plus the spawned VENDOR_CLASS_ name.
type ClassSet struct{}
