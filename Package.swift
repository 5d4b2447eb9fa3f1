// swift-tools-version: 6.2
import PackageDescription

/// Settings every Swift target shares. Warnings are errors in CI, where nobody reads them.
let house: [SwiftSetting] =
  [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ] + (Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)])

/// For the modules every byte and call passes through. What these guard is used on one event loop or thread; debug builds, and with
/// them the tests, still check at every access that none overlap, which took a seventh of a call's time.
let hotPath: [SwiftSetting] = [
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

let package = Package(
  name: "Mainstreet",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Schema", targets: ["Schema"]),
    .executable(name: "StoreSvc", targets: ["StoreSvc"]),
    .executable(name: "IdentitySvc", targets: ["IdentitySvc"]),
    .executable(name: "Edge", targets: ["Edge"]),
    // For the tests of faults alone, which load it into programs.
    .library(name: "WrongClock", type: .dynamic, targets: ["WrongClock"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(
      url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
  ],
  targets: [
    // C libraries of the system, as modules. They import nothing.
    .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CCrypt", pkgConfig: "libcrypt", providers: [.apt(["libcrypt-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

    .target(name: "Gzip", dependencies: ["CZlib"], swiftSettings: house),

    // The contract.
    .target(name: "Schema", swiftSettings: house),
    .target(name: "CMainstreetProto", dependencies: ["CProtobufC"]),
    .target(
      name: "MainstreetAPI",
      dependencies: [
        "CMainstreetProto", "CProtobufC", "RPC", "Schema",
        .product(name: "NIOCore", package: "swift-nio"),
      ],
      swiftSettings: house),

    // Clocks and calendars.
    .target(name: "TimeZones", dependencies: ["Schema"], swiftSettings: house),

    // The wire.
    .target(
      name: "HTTP2",
      dependencies: [
        "CNghttp2",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: house + hotPath),
    .target(
      name: "RPC",
      dependencies: [
        "Gzip", "HTTP2",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOTLS", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house + hotPath),

    // The database.
    .target(
      name: "Postgres",
      dependencies: [
        "CLibpq",
        .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house + hotPath),

    .target(
      name: "Jobs",
      dependencies: [
        "Postgres", "TimeZones",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [.embedInCode("Migrations/0001_jobs.sql")],
      swiftSettings: house),

    // What every service is made with.
    .target(
      name: "ServiceKit",
      dependencies: [
        "HTTP2", "Jobs", "MainstreetAPI", "RPC", "Postgres", "Schema",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      resources: [.embedInCode("Idempotency/Migrations/0001_idempotency.sql")],
      swiftSettings: house),

    // The services.
    .executableTarget(
      name: "StoreSvc",
      dependencies: [
        "Gzip", "Jobs", "MainstreetAPI", "Postgres", "RPC", "Schema", "ServiceKit", "TimeZones",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [.embedInCode("Migrations/0001_stores_hours_polls_reports.sql")],
      swiftSettings: house),
    .executableTarget(
      name: "IdentitySvc",
      dependencies: [
        "CCrypt", "MainstreetAPI", "Postgres", "RPC", "ServiceKit", "TimeZones",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
        .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [.embedInCode("Migrations/0001_identity.sql")],
      swiftSettings: house),
    .executableTarget(
      name: "Edge",
      dependencies: [
        "Gzip", "HTTP2", "MainstreetAPI", "RPC", "Schema", "ServiceKit",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: ["docs.html", "docs.js", "docs.css", "missing.html"].map {
        .embedInCode("Documentation/Page/\($0)")
      },
      swiftSettings: house),

    // gRPC's own tests: its service, and a program that serves it and calls it. Nothing that is deployed needs them.
    .target(
      name: "CGrpcTesting", dependencies: ["CMainstreetProto", "CProtobufC"],
      path: "Tests/Conformance/CGrpcTesting"),
    .target(
      name: "GrpcTesting",
      // Its folder Wire is MainstreetAPI's: generic code is as fast as its messages need only in the module they are in.
      dependencies: [
        "CGrpcTesting", "CMainstreetProto", "CProtobufC", "RPC",
        .product(name: "NIOCore", package: "swift-nio"),
      ],
      path: "Tests/Conformance/GrpcTesting",
      // Without MemberImportVisibility: what Wire calls CMainstreetProto's and CProtobufC's, clang counts here as
      // CGrpcTesting's, whose headers include the same ones.
      swiftSettings: [
        .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
      ]),
    .executableTarget(
      name: "TestPeer",
      dependencies: [
        "GrpcTesting", "HTTP2", "MainstreetAPI", "RPC", "ServiceKit",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      path: "Tests/Conformance/TestPeer",
      swiftSettings: house),

    // The Edge's transcoder, whose folder it shares, for the official protobuf to compare with.
    .executableTarget(
      name: "TranscodePeer",
      dependencies: ["Schema", .product(name: "NIOCore", package: "swift-nio")],
      path: "Tests/Conformance/TranscodePeer",
      swiftSettings: house),

    // A service in small, to be killed.
    .executableTarget(
      name: "FaultPeer",
      dependencies: [
        "Jobs", "Postgres", "ServiceKit",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      path: "Tests/Faults/FaultPeer",
      swiftSettings: house),
    .target(name: "WrongClock", path: "Tests/Faults/WrongClock"),

    // Our side of the benchmarks; the other peers are packages of their own.
    .executableTarget(
      name: "BenchPeer",
      dependencies: [
        "MainstreetAPI", "RPC", "ServiceKit",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      path: "Benchmarks/peers/mainstreet",
      swiftSettings: house),
    .executableTarget(
      name: "PostgresPeer",
      dependencies: [
        "Postgres", "RPC", "ServiceKit",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Logging", package: "swift-log"),
      ],
      path: "Benchmarks/peers/postgres",
      swiftSettings: house),
    .executableTarget(
      name: "JobsPeer",
      dependencies: [
        "Jobs", "Postgres", "ServiceKit",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      path: "Benchmarks/peers/jobs",
      swiftSettings: house),

    .testTarget(name: "GzipTests", dependencies: ["Gzip"], swiftSettings: house),
    .testTarget(name: "SchemaTests", dependencies: ["Schema"], swiftSettings: house),
    .testTarget(name: "TimeZonesTests", dependencies: ["TimeZones"], swiftSettings: house),
    .testTarget(
      name: "HTTP2Tests",
      dependencies: [
        "HTTP2",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "RPCTests",
      dependencies: [
        "CNghttp2", "RPC", "HTTP2",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "NIOTLS", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "MetricsTestKit", package: "swift-metrics"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "MainstreetAPITests",
      dependencies: [
        "MainstreetAPI", "RPC", "Schema",
        .product(name: "NIOCore", package: "swift-nio"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "PostgresTests",
      dependencies: [
        "Postgres",
        .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "JobsTests",
      dependencies: [
        "Jobs", "Postgres", "TimeZones",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "ServiceKitTests",
      dependencies: [
        "HTTP2", "MainstreetAPI", "Postgres", "RPC", "Schema", "ServiceKit",
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "StoreSvcTests",
      dependencies: [
        "Gzip", "Jobs", "StoreSvc", "MainstreetAPI", "Postgres", "RPC", "Schema", "ServiceKit", "TimeZones",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "IdentitySvcTests",
      dependencies: [
        "IdentitySvc", "MainstreetAPI", "Postgres", "RPC", "ServiceKit", "TimeZones",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
    .testTarget(
      name: "EdgeTests",
      dependencies: [
        "Edge", "Gzip", "HTTP2", "MainstreetAPI", "RPC", "Schema", "ServiceKit",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: house),
  ],
  swiftLanguageModes: [.v6]
)

// Fuzzers are programs with a main of libFuzzer's; only `./dev fuzz` builds them.
if Context.environment["MAINSTREET_FUZZ"] != nil {
  func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
      name: "Fuzz\(name)",
      dependencies: dependencies + [.product(name: "NIOCore", package: "swift-nio")],
      path: "Tests/Fuzz/\(name)",
      swiftSettings: house)
  }
  package.targets += [
    fuzzer(
      "Frames",
      [
        "HTTP2", "RPC", .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    fuzzer("Messages", ["HTTP2", "RPC"]),
    fuzzer("Unpack", ["MainstreetAPI", "RPC", "Schema"]),
    // Its folder Transcoding is the Edge's, which is a program and cannot be imported.
    fuzzer("JSON", ["MainstreetAPI", "RPC", "Schema"]),
  ]
}
