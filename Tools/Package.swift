// swift-tools-version: 6.2
import PackageDescription

let house: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// What the house is built with and nothing of it runs with: a package of its own, so that nobody who uses
/// Mainstreet builds it.
let package = Package(
  name: "Tools",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "Mainstreet", path: "..")],
  targets: [
    .executableTarget(
      name: "protogen",
      dependencies: [.product(name: "Schema", package: "Mainstreet")],
      swiftSettings: house),
    .executableTarget(name: "seed", swiftSettings: house),
    .testTarget(name: "protogenTests", dependencies: ["protogen"], swiftSettings: house),
  ],
  swiftLanguageModes: [.v6]
)
