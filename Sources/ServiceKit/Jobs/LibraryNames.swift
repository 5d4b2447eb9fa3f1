internal import Jobs

// The library's types whose names the contract has too; its module cannot be named, since its first type has its name.
typealias LibraryDeadJob = DeadJob
typealias LibraryDeadJobGroup = DeadJobGroup
typealias LibraryDeadJobFilter = DeadJobFilter
