@testable import StoreSvc

/// The service, as files that import the generated protocol of the same name can call it.
typealias Rpcs = StoreService
